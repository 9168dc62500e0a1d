/* Runs the blocks of a launch one after the other, and within a block its threads in turn: forwards, backwards, or in a
 * new random order every time that all have come to a halt. */

static void body(void) {
  kernel(NULL, L->parameters);
  ME->state = DONE;
  _longjmp(scheduler, 1);
}

static void resume(Thread *t) {
  ME = t;
  L->switches++;
  if (t->started) _longjmp(t->here, 1);
  t->started = 1;
  setcontext(&t->begin);
}

static uint64_t random_bits(void) { /* xorshift64 */
  L->seed ^= L->seed << 13, L->seed ^= L->seed >> 7, L->seed ^= L->seed << 17;
  return L->seed;
}

static void take_turns(void) {
  if (L->order != 2) return;
  for (uint32_t k = N - 1; k > 0; k--) {
    uint32_t other = random_bits() % (k + 1), kept = turn[k];
    turn[k] = turn[other], turn[other] = kept;
  }
}

static int stands_with(Thread *t, Thread *other) {
  return other->state == DONE || (other->state == t->state && other->mask == t->mask && other->mode == t->mode);
}

static Thread *lane_of(Thread *t, uint32_t lane) {
  uint32_t k = t->index - t->lane + lane;
  return k < N ? T + k : NULL;
}

/* Let a group of lanes go on, once all of them have come; what they exchange is computed here. */
static int release_group(Thread *t) {
  uint32_t votes = 0, here = 0;
  for (uint32_t lane = 0; lane < WARP; lane++) {
    Thread *other = lane_of(t, lane);
    if (!(t->mask >> lane & 1) || !other) continue;
    if (!stands_with(t, other)) return 0;
    if (other->state != DONE) here |= 1u << lane, votes |= (uint32_t)(other->vote != 0) << lane;
  }
  for (uint32_t lane = 0; lane < WARP; lane++) {
    if (!(here >> lane & 1)) continue;
    Thread *one = lane_of(t, lane);
    if (one->state == AT_SHUFFLE) {
      ME = one;
      if (!(here >> one->source & 1)) fail(LANE, one->site, 0, 0, one->source);
      one->result = lane_of(t, one->source)->value;
    }
    if (one->state == AT_VOTE) one->result = t->mode == BALLOT ? votes : t->mode == ALL ? votes == here : votes != 0;
  }
  if (t->state == AT_SHUFFLE) L->shuffles++;
  if (t->state == AT_WARP_BARRIER) warp_epoch[t->index / WARP]++;
  for (uint32_t lane = 0; lane < WARP; lane++)
    if (here >> lane & 1) lane_of(t, lane)->state = READY;
  return 1;
}

/* Let the block go on, once all threads that have not ended wait at the same barrier. */
static int release_block(void) {
  Thread *first = NULL;
  uint32_t count = 0, all = 1;
  for (Thread *t = T; t < T + N; t++) {
    if (t->state == DONE) continue;
    if (!first) first = t;
    if (t->state != AT_BARRIER || t->site != first->site || t->barrier != first->barrier) return 0;
    count += t->vote != 0, all &= t->vote != 0;
  }
  if (!first) return 0;
  for (Thread *t = T; t < T + N; t++)
    if (t->state == AT_BARRIER) {
      t->result = t->mode == ALL ? all : t->mode == SOME ? count != 0 : count;
      t->state = READY;
    }
  block_epoch++;
  L->barriers++;
  return 1;
}

static int release(void) {
  int some = 0;
  for (Thread *t = T; t < T + N; t++)
    if (t->state == AT_SHUFFLE || t->state == AT_VOTE || t->state == AT_WARP_BARRIER) some |= release_group(t);
  return some || release_block();
}

static void begin_block(void) {
  block_epoch = 1;
  memset(warp_epoch, 0, (N / WARP + 1) * sizeof *warp_epoch);
  for (Region *r = L->regions; r < L->regions + L->n_regions; r++) {
    if (!r->shadow) continue;
    memset(r->low, 0xff, r->high - r->low);
    memset(r->shadow, 0, ((r->high - r->low) / 4 + 1) * sizeof(Shadow));
    for (int64_t k = 0; k <= (r->high - r->low) / 4; k++) r->shadow[k].writer = r->shadow[k].reader = -1;
  }
  for (uint32_t k = 0; k < N; k++) {
    Thread *t = T + k;
    uint8_t *stack = t->stack;
    memset(t, 0, sizeof *t);
    t->stack = stack, t->index = k, t->lane = k % WARP;
    t->tid[0] = k % L->threads[0], t->tid[1] = k / L->threads[0] % L->threads[1];
    t->tid[2] = k / L->threads[0] / L->threads[1];
    getcontext(&t->begin);
    t->begin.uc_stack.ss_sp = stack, t->begin.uc_stack.ss_size = L->stack, t->begin.uc_link = NULL;
    makecontext(&t->begin, body, 0);
    turn[k] = L->order == 1 ? N - 1 - k : k;
  }
}

static void run_block(void) {
  begin_block();
  do {
    take_turns();
    for (volatile uint32_t k = 0; k < N; k++) {
      Thread *t = T + turn[k];
      if (t->state != READY) continue;
      int came = _setjmp(scheduler);
      if (came == 0) resume(t);
      if (came == 2) return;
    }
    if (_setjmp(scheduler) == 2) return; /* from a fault found in release() */
  } while (release());
  ME = NULL;
  for (Thread *t = T; t < T + N; t++)
    if (t->state != DONE) {
      if (_setjmp(scheduler) == 0) fail(DEADLOCK, t->site, 0, 0, 0);
      return;
    }
}

int64_t run(Launch *launch) {
  L = launch;
  L->fault.kind = FINE;
  fuel = L->fuel;
  N = L->threads[0] * L->threads[1] * L->threads[2];
  T = calloc(N, sizeof *T), turn = malloc(N * sizeof *turn), warp_epoch = malloc((N / WARP + 1) * sizeof *warp_epoch);
  for (uint32_t k = 0; k < N; k++) T[k].stack = malloc(L->stack);
  uint64_t total = (uint64_t)L->blocks[0] * L->blocks[1] * L->blocks[2];
  for (volatile uint64_t k = 0; k < total && L->fault.kind == FINE; k++) {
    uint64_t block = L->order == 1 ? total - 1 - k : k;
    ctaid[0] = block % L->blocks[0], ctaid[1] = block / L->blocks[0] % L->blocks[1];
    ctaid[2] = block / L->blocks[0] / L->blocks[1];
    run_block();
  }
  for (uint32_t k = 0; k < N; k++) {
    L->waiting[3 * k] = T[k].state, L->waiting[3 * k + 1] = T[k].site, L->waiting[3 * k + 2] = T[k].mask;
    free(T[k].stack);
  }
  free(T), free(turn), free(warp_epoch);
  return L->fault.kind;
}
