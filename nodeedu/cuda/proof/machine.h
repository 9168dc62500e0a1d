/* A machine for one block of CUDA threads at a time. Every thread is a fiber: a stack of its own, left only where it
 * waits for others (a barrier, a shuffle, a vote) and entered again when all that it waits for have come.
 *
 * What is reported instead of computed: an access outside the arrays, of the wrong space, or not aligned; two threads
 * that touch the same word of shared memory, one of them writing, with no barrier between; threads that wait for ever;
 * a shuffle that reads a lane which does not take part. Shared and local memory begin as nan. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include "arithmetic.h"

enum { READY, AT_BARRIER, AT_SHUFFLE, AT_VOTE, AT_WARP_BARRIER, DONE };                 /* what a thread does */
enum { FINE, DEADLOCK, OUT_OF_BOUNDS, MISALIGNED, RACE, MASK, LANE, ENDLESS, TRAP, WRONG_SPACE }; /* what is wrong */
enum { GLOBAL = 1, SHARED = 2, CONSTANT = 4, ANY = 15 };                                /* spaces, as bits */
enum { READ, WRITE, ATOMIC };
enum { BUTTERFLY, UP, DOWN, INDEX };
enum { ALL, SOME, BALLOT, COUNT };
enum { WARP = 32, FRAMES = 16 };

typedef struct { /* who touched a word of shared memory last, and after which barriers */
  int32_t writer, reader;
  uint32_t written, written_in_warp, read, read_in_warp;
  uint8_t atomically, twice, warps; /* twice: read by two threads of a warp; warps: by two warps */
} Shadow;

typedef struct { uint8_t *low, *high; Shadow *shadow; uint32_t space; } Region;

typedef struct {
  jmp_buf here;
  ucontext_t begin;
  uint8_t *stack;
  uint32_t tid[3], index, lane;
  int state, site, started, depth;
  uint32_t barrier, mask, mode, value, source, result;
  uint8_t vote, known;
  struct { uint8_t *low, *high; } frames[FRAMES];
} Thread;

typedef struct { int64_t kind, thread, other, site, size; uint64_t address; uint32_t block[3]; } Fault;

typedef struct { /* what the caller gives and reads; its twin is in machine.py */
  uint32_t blocks[3], threads[3];
  uint8_t *const *parameters;
  uint64_t stack, fuel, seed;
  int64_t without; /* the number of a barrier that is passed by, or of a shuffle that gets half a mask */
  uint32_t order, n_regions, shared, unused;
  Region *regions;
  Fault fault;
  int32_t *waiting; /* of each thread: state, site, mask */
  uint64_t barriers, shuffles, switches;
} Launch;

static Launch *L;
static Thread *T, *ME;
static jmp_buf scheduler;
static uint32_t N, ctaid[3], block_epoch, *warp_epoch, *turn;
static uint64_t fuel;

static __attribute__((noreturn, cold)) void fail(int kind, int site, uint64_t address, int64_t size, int64_t other) {
  Fault fault = {kind, ME ? ME->index : -1, other, site, size, address, {ctaid[0], ctaid[1], ctaid[2]}};
  L->fault = fault;
  _longjmp(scheduler, 2);
}

/* ---------------------------------------------------------------- waiting */

static void wait_for(int state, int site) {
  ME->state = state;
  ME->site = site;
  if (_setjmp(ME->here) == 0) _longjmp(scheduler, 1);
}

static void barrier(uint32_t number, int site) {
  if (site == L->without) return;
  ME->barrier = number;
  wait_for(AT_BARRIER, site);
}

static uint32_t barrier_vote(uint32_t number, int mode, uint8_t vote, int site) {
  ME->vote = vote;
  ME->mode = mode;
  barrier(number, site);
  return ME->result;
}

static void in_warp(int state, uint32_t mask, int site) {
  if (site == L->without) mask = 0xffff;
  if (!(mask >> ME->lane & 1)) fail(MASK, site, mask, 0, 0);
  ME->mask = mask;
  wait_for(state, site);
}

static uint32_t shuffle(int mode, uint32_t value, uint32_t by, uint32_t c, uint32_t mask, int site) {
  uint32_t lane = ME->lane, fixed = c >> 8 & 31, least = lane & fixed, most = least | (c & 31 & ~fixed);
  int32_t source = lane;
  by &= 31;
  if (mode == UP) source -= by;
  if (mode == DOWN) source += by;
  if (mode == BUTTERFLY) source ^= by;
  if (mode == INDEX) source = least | (by & ~fixed);
  ME->known = mode == UP ? source >= (int32_t)most : source <= (int32_t)most;
  ME->source = ME->known ? source : lane;
  ME->value = value;
  ME->mode = mode;
  in_warp(AT_SHUFFLE, mask, site);
  return ME->result;
}

static void warp_barrier(uint32_t mask, int site) {
  ME->mode = 0;
  if (site != L->without) in_warp(AT_WARP_BARRIER, mask, site);
}

static uint32_t warp_vote(int mode, uint8_t vote, uint32_t mask, int site) {
  ME->vote = vote;
  ME->mode = mode;
  in_warp(AT_VOTE, mask, site);
  return ME->result;
}

/* ---------------------------------------------------------------- memory */

static __attribute__((noinline)) void touch_word(Shadow *s, int how, int site, uint64_t address) {
  int32_t me = ME->index, mine = me / WARP;
  uint32_t now = block_epoch, now_in_warp = warp_epoch[mine];
#define BETWEEN(who, epoch) ((who) / WARP == mine && (epoch) < now_in_warp) /* a barrier of the warp came between */
  if (s->writer >= 0 && s->written == now && s->writer != me && !BETWEEN(s->writer, s->written_in_warp) &&
      !(how == ATOMIC && s->atomically))
    fail(RACE, site, address, how, s->writer);
  int reads = s->reader >= 0 && s->read == now;
  if (how != READ) {
    int same = s->reader / WARP == mine;
    if (reads && (s->warps || !same || (s->read_in_warp == now_in_warp && (s->reader != me || s->twice))))
      fail(RACE, site, address, how, s->reader);
    s->writer = me, s->written = now, s->written_in_warp = now_in_warp, s->atomically = how == ATOMIC;
    return;
  }
  if (!reads) s->warps = s->twice = 0;
  else if (s->reader / WARP != mine) s->warps = 1, s->twice = 0;
  else if (s->read_in_warp != now_in_warp) s->twice = 0;
  else if (s->reader != me) s->twice = 1;
  s->reader = me, s->read = now, s->read_in_warp = now_in_warp;
}

/* Find the array; let `hint` say where it is, so that the same instruction finds it at once next time. */
static __attribute__((noinline)) Region *look_up(
    uint8_t *p, uint64_t size, int space, int how, int site, uint32_t *hint) {
  for (Region *r = L->regions; r < L->regions + L->n_regions; r++) {
    if (!(p >= r->low && p + size <= r->high)) continue;
    if (!(r->space & space)) fail(WRONG_SPACE, site, (uint64_t)p, size, r->space);
    *hint = r - L->regions;
    return r;
  }
  if (space == ANY)
    for (int k = 0; k < ME->depth; k++)
      if (p >= ME->frames[k].low && p + size <= ME->frames[k].high) return NULL;
  fail(OUT_OF_BOUNDS, site, (uint64_t)p, size, how);
}

static __attribute__((noinline)) void touch(Region *r, uint64_t at, uint64_t size, int how, int site) {
  for (uint64_t word = at / 4; word <= (at + size - 1) / 4; word++)
    touch_word(r->shadow + word, how, site, (uint64_t)r->low + at);
}

/* The address, checked. */
static inline void *reach(uint64_t a, uint64_t size, uint64_t align, int space, int how, int site, uint32_t *hint) {
  uint8_t *p = (uint8_t *)a;
  if (a & (align - 1)) fail(MISALIGNED, site, a, align, how);
  Region *r = L->regions + *hint;
  if (!(p >= r->low && p + size <= r->high && r->space & space)) r = look_up(p, size, space, how, site, hint);
  if (r && r->shadow) touch(r, p - r->low, size, how, site);
  return p;
}

static inline void *reach_local(uint64_t a, uint64_t size, uint64_t align, int how, int site) {
  uint8_t *p = (uint8_t *)a;
  if (a & (align - 1)) fail(MISALIGNED, site, a, align, how);
  for (int k = ME->depth - 1; k >= 0; k--)
    if (p >= ME->frames[k].low && p + size <= ME->frames[k].high) return p;
  fail(OUT_OF_BOUNDS, site, a, size, how);
}

static inline void enter(uint8_t *low, uint64_t size, int site) {
  memset(low, 0xff, size);
  if (ME->depth == FRAMES) fail(TRAP, site, 0, 0, 0);
  ME->frames[ME->depth].low = low;
  ME->frames[ME->depth++].high = low + size;
}

static inline void burn(int site) { /* at the end of every loop */
  if (fuel-- == 0) fail(ENDLESS, site, 0, 0, 0);
}
