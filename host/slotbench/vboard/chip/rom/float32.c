/* Single precision arithmetic, rounded to nearest, ties to even; with denormal numbers, infinities and NaN. */
#include "floats.h"

#define SIGN 0x80000000u
#define INFINITE 0x7F800000u
#define QUIET 0x00400000u
#define FRACTION 0x007FFFFFu

/* A number taken apart: value = m * 2^(exponent - 157), with the first bit of m in bit 30, or m = 0. */
struct parts {
    u32 sign, m;
    int exponent;
};

static u32 is_nan(u32 a)
{
    return (a & ~SIGN) > INFINITE;
}

static struct parts take_apart(u32 a)
{
    struct parts p = {.sign = a & SIGN, .m = (a & FRACTION) << 7, .exponent = (int)(a >> 23 & 0xFF)};

    if (p.exponent > 0) {
        p.m |= 1u << 30;
    } else if (p.m != 0) {
        u32 shift = (u32)__builtin_clz(p.m) - 1;
        p.m <<= shift;
        p.exponent = 1 - (int)shift;
    }
    return p;
}

/* Seven bits of m are rounded away. */
static u32 put_together(u32 sign, int exponent, u32 m)
{
    u32 low;

    if (m == 0)
        return sign;
    if (exponent <= 0) {
        m = shift_right_sticky(m, (u32)(1 - exponent));
        exponent = 0;
    }
    low = m & 0x7F;
    m = (m + 0x40) >> 7;
    if (low == 0x40)
        m &= ~1u;
    if (exponent == 0)
        return sign | m;
    if (m >> 24) {
        m >>= 1;
        exponent++;
    }
    if (exponent >= 0xFF)
        return sign | INFINITE;
    return sign | (u32)exponent << 23 | (m & FRACTION);
}

static u32 normalize(u32 sign, int exponent, u32 m)
{
    u32 shift;

    if (m == 0)
        return 0;
    if (m >> 31)
        return put_together(sign, exponent + 1, m >> 1 | (m & 1));
    shift = (u32)__builtin_clz(m) - 1;
    return put_together(sign, exponent - (int)shift, m << shift);
}

u32 __addsf3(u32 a, u32 b)
{
    struct parts x, y;

    if (is_nan(a) || is_nan(b))
        return (is_nan(a) ? a : b) | QUIET;
    if ((a & ~SIGN) == INFINITE)
        return (b & ~SIGN) == INFINITE && a != b ? INFINITE | QUIET : a;
    if ((b & ~SIGN) == INFINITE)
        return b;
    if ((a & ~SIGN) < (b & ~SIGN)) {
        u32 other = a;
        a = b;
        b = other;
    }
    x = take_apart(a);
    y = take_apart(b);
    if (y.m == 0)
        return x.m == 0 ? a & b : a;
    y.m = shift_right_sticky(y.m, (u32)(x.exponent - y.exponent));
    return normalize(x.sign, x.exponent, x.sign == y.sign ? x.m + y.m : x.m - y.m);
}

u32 __subsf3(u32 a, u32 b)
{
    return __addsf3(a, is_nan(b) ? b : b ^ SIGN);
}

u32 __mulsf3(u32 a, u32 b)
{
    u32 sign = (a ^ b) & SIGN;
    struct parts x = take_apart(a), y = take_apart(b);
    u64 product;

    if (is_nan(a) || is_nan(b))
        return (is_nan(a) ? a : b) | QUIET;
    if ((a & ~SIGN) == INFINITE || (b & ~SIGN) == INFINITE)
        return x.m == 0 || y.m == 0 ? INFINITE | QUIET : sign | INFINITE;
    if (x.m == 0 || y.m == 0)
        return sign;
    product = multiply_words(x.m, y.m);
    return normalize(sign, x.exponent + y.exponent - 126, high_word(product) << 1 | low_word(product) >> 31 |
                     (low_word(product) << 1 != 0));
}

u32 __floatunsisf(u32 value)
{
    return normalize(0, 157, value);
}

u32 __floatsisf(u32 value)
{
    return normalize(value & SIGN, 157, value & SIGN ? -value : value);
}

/* Towards zero; what is too large becomes the largest number. */
u32 __fixunssfsi(u32 a)
{
    int exponent = (int)(a >> 23 & 0xFF) - 127;
    u32 m = (a & FRACTION) << 8 | SIGN, value;

    if (exponent < 0)
        return 0;
    value = exponent > 31 ? ~0u : m >> (31 - exponent);
    if (is_nan(a) || !(a & SIGN))
        return value;
    return exponent > 31 ? SIGN : -value;
}

/* Double to single. */
u32 __truncdfsf2(u64 a)
{
    u32 high = high_word(a), low = low_word(a), sign = high & SIGN;
    int exponent = (int)(high >> 20 & 0x7FF);
    u32 m = (high & 0xFFFFF) << 10 | low >> 22;

    if (exponent == 0x7FF)
        return sign | INFINITE | (m >> 7) | ((high & 0xFFFFF) || low ? QUIET : 0);
    if (exponent == 0)
        return sign;
    return put_together(sign, exponent - 1023 + 127, 1u << 30 | m | (low << 10 != 0));
}
