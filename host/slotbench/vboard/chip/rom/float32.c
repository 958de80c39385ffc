/* Single precision arithmetic. */
#include "floats.h"

typedef u32 number;
#define FRACTION_BITS 23
#define EXPONENT_BITS 8
#define ROUNDED_BITS 7
#define HIGH(a) (a)
#define HIGH_FRACTION 23
#define LEADING_ZEROS(a) ((u32)__builtin_clz(a))
#define STICKY(a, shift) shift_right_sticky(a, shift)
#define ADD __addsf3
#define SUB __subsf3
#include "float_arithmetic.h"

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
