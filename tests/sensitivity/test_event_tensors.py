"""`odeint` with events on Tensors: states, times of events and states there differentiate as one."""

import numpy as np
import pytest
from adjoint_problems import TIGHT
from bouncing_ball import LINEAR, RESTITUTION, START, bounced, complex_step, floor, impact

import nodeedu as ne

THETA = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, -START[2]])


def test_the_times_and_states_of_events_record_themselves():
    x = ne.Tensor(START[:2])
    gravity = ne.Tensor(START[2])
    theta = np.array([[0.0, 1.0], [0.0, 0.0]]), np.stack([0.0, -gravity])
    sol = ne.odeint(LINEAR, x, [0.0, 0.5, 9.0], theta, events=floor(terminal=2), **TIGHT)
    loss = sol.t_events[0][1] ** 2 + sol.z_events[0][1, 1] * sol.zs[1, 0]
    loss.backward()

    def exact(x):
        time, speed = impact(x, 2)
        return time**2 - speed / RESTITUTION * bounced(x, 0.5, 1)[0]

    assert float(loss.value) == pytest.approx(exact(START), rel=1e-9)
    np.testing.assert_allclose(np.append(x.grad, gravity.grad), complex_step(exact), rtol=1e-9)  # as above


def test_each_sample_of_a_batch_has_its_own_events():
    z0 = ne.Tensor(np.array([START[:2], [0.2, 0.0]]))
    sol = ne.odeint(LINEAR, z0, [0.0, 0.6], THETA, events=floor(), **TIGHT)
    assert [len(times) for times in sol.t_events[0]] == [1, 2]
    sum(np.sum(times) for times in sol.t_events[0]).backward()
    plain = ne.odeint(LINEAR, z0.value, [0.0, 0.6], THETA, events=floor(), **TIGHT)
    g = ne.event_gradients(plain, np.zeros((2, 2, 2)), [[np.ones(1), np.ones(2)]])
    np.testing.assert_array_equal(z0.grad, g.z0)


def test_float32_states_stay_float32():
    z0 = ne.Tensor(np.float32(START[:2]))
    sol = ne.odeint(LINEAR, z0, [0.0, 0.6], (np.eye(2, dtype=np.float32), np.zeros(2, np.float32)), events=floor())
    np.sum(sol.zs[1]).backward()
    assert (sol.zs.dtype, z0.grad.dtype) == (np.float32, np.float32)


def test_another_gradient_method_is_refused():
    with pytest.raises(ValueError, match="gradient: got 'backsolve'; with events it is 'discrete' alone"):
        ne.odeint(LINEAR, ne.Tensor(START[:2]), [0, 1], THETA, events=floor(), gradient="backsolve")
