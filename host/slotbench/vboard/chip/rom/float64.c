/* Double precision arithmetic. */
#include "floats.h"

typedef u64 number;
#define FRACTION_BITS 52
#define EXPONENT_BITS 11
#define ROUNDED_BITS 10
#define HIGH(a) high_word(a)
#define HIGH_FRACTION 20
#define LEADING_ZEROS(a) leading_zeros_64(a)
#define STICKY(a, shift) shift_right_sticky_64(a, shift)
#define ADD __adddf3
#define SUB __subdf3
#include "float_arithmetic.h"

/* The upper 64 bits of the product, its last bit telling of the rest. */
static u64 multiply_high(u64 a, u64 b)
{
    u64 low = multiply_words(low_word(a), low_word(b)), high = multiply_words(high_word(a), high_word(b));
    u64 left = multiply_words(high_word(a), low_word(b)), right = multiply_words(low_word(a), high_word(b));
    u64 middle = (u64)high_word(low) + low_word(left) + low_word(right);

    high += (u64)high_word(left) + high_word(right) + high_word(middle);
    return high | ((low_word(low) | low_word(middle)) != 0);
}

u64 __muldf3(u64 a, u64 b)
{
    u64 sign = (a ^ b) & SIGN;
    struct parts x = take_apart(a), y = take_apart(b);

    if (is_nan(a) || is_nan(b))
        return (is_nan(a) ? a : b) | QUIET;
    if ((a & ~SIGN) == INFINITE || (b & ~SIGN) == INFINITE)
        return x.m == 0 || y.m == 0 ? INFINITE | QUIET : sign | INFINITE;
    if (x.m == 0 || y.m == 0)
        return sign;
    return normalize(sign, x.exponent + y.exponent - 1021, multiply_high(x.m, y.m));
}

/* 64 quotient bits by shifting and subtracting: x and y have their first bits at the same place. */
u64 __divdf3(u64 a, u64 b)
{
    u64 sign = (a ^ b) & SIGN, quotient = 0;
    struct parts x = take_apart(a), y = take_apart(b);

    if (is_nan(a) || is_nan(b))
        return (is_nan(a) ? a : b) | QUIET;
    if ((a & ~SIGN) == INFINITE)
        return (b & ~SIGN) == INFINITE ? INFINITE | QUIET : sign | INFINITE;
    if ((b & ~SIGN) == INFINITE)
        return sign;
    if (y.m == 0)
        return x.m == 0 ? INFINITE | QUIET : sign | INFINITE;
    if (x.m == 0)
        return sign;
    for (u32 i = 0; i < 63; i++) {
        quotient <<= 1;
        if (x.m >= y.m) {
            x.m -= y.m;
            quotient |= 1;
        }
        x.m <<= 1;
    }
    return normalize(sign, x.exponent - y.exponent + 1023, quotient | (x.m != 0));
}

u64 __floatunsidf(u32 value)
{
    return normalize(0, 1085, value);
}

u64 __floatsidf(u32 value)
{
    u32 negative = value >> 31;

    return normalize(negative ? SIGN : 0, 1085, negative ? -value : value);
}

/* Towards zero; what is too large becomes the largest number. */
u32 __fixunsdfsi(u64 a)
{
    int exponent = (int)(high_word(a) >> 20 & 0x7FF) - 1023;
    u32 m = (u32)((a & FRACTION) >> 21) | 0x80000000u, value;

    if (exponent < 0)
        return 0;
    value = exponent > 31 ? ~0u : m >> (31 - exponent);
    if (is_nan(a) || !(a & SIGN))
        return value;
    return exponent > 31 ? 0x80000000u : -value;
}

u32 __fixdfsi(u64 a)
{
    int exponent = (int)(high_word(a) >> 20 & 0x7FF) - 1023;
    u32 m = (u32)((a & FRACTION) >> 21) | 0x80000000u;

    if (exponent < 0)
        return 0;
    if (exponent > 30)
        return a & SIGN && !is_nan(a) ? 0x80000000u : 0x7FFFFFFFu;
    m >>= 31 - exponent;
    return a & SIGN ? -m : m;
}

/* Single to double. */
u64 __extendsfdf2(u32 a)
{
    u64 sign = (u64)(a & 0x80000000u) << 32;
    u32 exponent = a >> 23 & 0xFF, fraction = a & 0x007FFFFF;

    if (exponent == 0xFF)
        return sign | INFINITE | (u64)fraction << 29 | (fraction ? QUIET : 0);
    if (exponent == 0) {
        u32 shift;

        if (fraction == 0)
            return sign;
        shift = (u32)__builtin_clz(fraction) - 8;
        fraction = fraction << shift & 0x007FFFFF;
        return sign | (u64)(1 - shift + 1023 - 127) << 52 | (u64)fraction << 29;
    }
    return sign | (u64)(exponent + 1023 - 127) << 52 | (u64)fraction << 29;
}
