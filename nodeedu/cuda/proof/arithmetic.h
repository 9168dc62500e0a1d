/* PTX instructions as C expressions, where C's own operators differ or do not exist.
 *
 * Registers hold bits: an untyped one (.b64) may hold a double. as_... reads the same bits as another type.
 * Approximate instructions (rcp.approx, ex2.approx, ...) are the correctly rounded function here: their last bits are
 * the hardware's own. */
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define RECAST(name, from, to) static inline to name(from x) { to y; memcpy(&y, &x, sizeof y); return y; }
RECAST(as_f64, uint64_t, double)
RECAST(as_b64, double, uint64_t)
RECAST(as_f32, uint32_t, float)
RECAST(as_b32, float, uint32_t)

/* Shifts by the width or more give 0, or copies of the sign. */
#define SHL(T, a, b) ((uint32_t)(b) >= 8 * sizeof(T) ? (T)0 : (T)((T)(a) << (uint32_t)(b)))
#define SHR(T, a, b) ((T)(a) >> ((uint32_t)(b) >= 8 * sizeof(T) ? 8 * sizeof(T) - 1 : (uint32_t)(b)))
#define SHR_UNSIGNED(T, a, b) ((uint32_t)(b) >= 8 * sizeof(T) ? (T)0 : (T)((T)(a) >> (uint32_t)(b)))

/* A division by zero has an unspecified result on a GPU; it does not trap. */
#define MINUS_ONE(T, b) ((T)-1 < 0 && (b) == (T)-1) /* by which the least integer cannot be divided in C */
#define DIVIDE(T, a, b) \
  ({ T a_ = (a), b_ = (b); b_ == 0 ? (T)-1 : MINUS_ONE(T, b_) ? (T)(0 - (uint64_t)a_) : (T)(a_ / b_); })
#define REMAINDER(T, a, b) ({ T a_ = (a), b_ = (b); b_ == 0 ? a_ : MINUS_ONE(T, b_) ? (T)0 : (T)(a_ % b_); })
#define HIGH(T, W, a, b) ((T)(((W)(T)(a) * (W)(T)(b)) >> (8 * sizeof(T))))
#define LEAST(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define MOST(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define ABSOLUTE(T, a) ({ T a_ = (a); a_ < 0 ? (T)(0 - (uint64_t)a_) : a_; })

static inline uint64_t field_mask(uint32_t length) { return length >= 64 ? ~0ull : (1ull << length) - 1; }

static inline uint64_t insert_field(uint64_t a, uint64_t b, uint32_t at, uint32_t length, uint32_t bits) {
  at &= 255;
  length &= 255;
  if (at >= bits) return b;
  uint64_t mask = field_mask(length) << at;
  return (b & ~mask) | ((a << at) & mask);
}

static inline uint64_t extract_field(uint64_t a, uint32_t at, uint32_t length, uint32_t bits, int is_signed) {
  at &= 255;
  length &= 255;
  if (length == 0) return 0;
  uint32_t top = at + length - 1 < bits - 1 ? at + length - 1 : bits - 1;
  uint64_t sign = is_signed ? (a >> top) & 1 : 0;
  uint64_t value = at >= bits ? 0 : (a >> at) & field_mask(length < bits - at ? length : bits - at);
  uint32_t known = at >= bits ? 0 : length < bits - at ? length : bits - at;
  return sign ? value | ~field_mask(known) : value;
}

static inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = (uint64_t)b << 32 | a;
  uint32_t result = 0;
  for (int k = 0; k < 4; k++) {
    uint32_t choice = selector >> 4 * k & 15, byte = bytes >> 8 * (choice & 7) & 255;
    if (choice & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * k;
  }
  return result;
}

static inline uint32_t combine_bits(uint32_t a, uint32_t b, uint32_t c, uint32_t table) { /* lop3 */
  uint32_t result = 0;
  for (int k = 0; k < 8; k++)
    if (table >> k & 1) result |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
  return result;
}

static inline uint32_t funnel(uint32_t low, uint32_t high, uint32_t by, int left, int wrap) {
  uint64_t both = (uint64_t)high << 32 | low;
  by = wrap ? by & 31 : by < 32 ? by : 32;
  return left ? (uint32_t)(both << by >> 32) : (uint32_t)(both >> by);
}

static inline uint64_t reversed(uint64_t a, int bits) {
  uint64_t result = 0;
  for (int k = 0; k < bits; k++) result |= (a >> k & 1) << (bits - 1 - k);
  return result;
}

static inline uint32_t highest_bit(uint64_t a) { return a ? 63 - __builtin_clzll(a) : 0xffffffffu; }
static inline uint32_t leading_zeros(uint64_t a, int bits) { return a ? __builtin_clzll(a) - (64 - bits) : bits; }

/* Subnormal numbers count as zeros: .ftz */
static inline float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }
static inline double saturated(double x) { return x > 0.0 ? (x < 1.0 ? x : 1.0) : 0.0; } /* nan gives 0 */

/* Of two numbers the one that is no nan; -0 is less than +0. */
#define LESSER(name, T) \
  static inline T name(T a, T b) { return isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b; }
#define GREATER(name, T) \
  static inline T name(T a, T b) { return isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? b : a) : a < b ? b : a; }
LESSER(min_f64, double)
LESSER(min_f32, float)
GREATER(max_f64, double)
GREATER(max_f32, float)

/* From floating point to integers: out of range gives the end of the range, nan gives 0. */
#define TO_INTEGER(name, T, low, high, past) \
  static inline T name(double x) { return isnan(x) ? (T)0 : x < (low) ? (T)(low) : x >= (past) ? (T)(high) : (T)x; }
TO_INTEGER(to_s8, int8_t, -128.0, 127, 128.0)
TO_INTEGER(to_u8, uint8_t, 0.0, 255, 256.0)
TO_INTEGER(to_s16, int16_t, -32768.0, 32767, 32768.0)
TO_INTEGER(to_u16, uint16_t, 0.0, 65535, 65536.0)
TO_INTEGER(to_s32, int32_t, -0x1p31, INT32_MAX, 0x1p31)
TO_INTEGER(to_u32, uint32_t, 0.0, UINT32_MAX, 0x1p32)
TO_INTEGER(to_s64, int64_t, -0x1p63, INT64_MAX, 0x1p63)
TO_INTEGER(to_u64, uint64_t, 0.0, UINT64_MAX, 0x1p64)

/* Rounding other than to nearest: .rz .rm .rp */
#define ROUNDED(name, T, FMA, SQRT) \
  static __attribute__((noinline)) T name(int mode, char op, T a, T b, T c) { \
    volatile T x = a, y = b, z = c, r; \
    fesetround(mode); \
    switch (op) { \
      case '+': r = x + y; break; \
      case '-': r = x - y; break; \
      case '*': r = x * y; break; \
      case '/': r = x / y; break; \
      case 'f': r = FMA(x, y, z); break; \
      default: r = SQRT(x); \
    } \
    fesetround(FE_TONEAREST); \
    return r; \
  }
ROUNDED(rounded_f64, double, fma, sqrt)
ROUNDED(rounded_f32, float, fmaf, sqrtf)

static __attribute__((noinline)) float narrowed(int mode, double x) {
  volatile double from = x;
  fesetround(mode);
  volatile float r = (float)from;
  fesetround(FE_TONEAREST);
  return r;
}

/* The reciprocal of which the hardware computes the upper 32 bits; subnormal numbers count as zeros. */
static inline double reciprocal_upper(double x) {
  double r = 1.0 / (fabs(x) < 0x1p-1022 ? copysign(0.0, x) : x);
  if (isfinite(r)) r = as_f64(as_b64(r) & 0xffffffff00000000ull);
  return fabs(r) < 0x1p-1022 ? copysign(0.0, r) : r;
}

static inline double root_upper(double x) { /* rsqrt.approx.ftz.f64, likewise */
  double r = 1.0 / sqrt(fabs(x) < 0x1p-1022 ? copysign(0.0, x) : x);
  return isfinite(r) ? as_f64(as_b64(r) & 0xffffffff00000000ull) : r;
}
