/* Division of 64 bits by shifting and subtracting. */
#include "floats.h"

void no_quotient(void) __attribute__((noreturn));

static u64 divide_unsigned(u64 dividend, u64 divisor, u64 *remainder)
{
    u64 quotient = 0;
    u32 shift;

    if (high_word(dividend) == 0 && high_word(divisor) == 0) {
        *remainder = low_word(dividend) % low_word(divisor);
        return low_word(dividend) / low_word(divisor);
    }
    if (divisor == 0)
        no_quotient();
    if (dividend < divisor) {
        *remainder = dividend;
        return 0;
    }
    shift = leading_zeros_64(divisor) - leading_zeros_64(dividend);
    divisor <<= shift;
    for (shift++; shift > 0; shift--) {
        quotient <<= 1;
        if (dividend >= divisor) {
            dividend -= divisor;
            quotient |= 1;
        }
        divisor >>= 1;
    }
    *remainder = dividend;
    return quotient;
}

u64 __udivdi3(u64 dividend, u64 divisor)
{
    u64 remainder;

    return divide_unsigned(dividend, divisor, &remainder);
}

u64 __umoddi3(u64 dividend, u64 divisor)
{
    u64 remainder;

    divide_unsigned(dividend, divisor, &remainder);
    return remainder;
}

u64 __divdi3(u64 dividend, u64 divisor)
{
    u64 remainder, quotient;
    u32 negative = high_word(dividend ^ divisor) >> 31;

    quotient = divide_unsigned(high_word(dividend) >> 31 ? -dividend : dividend, high_word(divisor) >> 31 ? -divisor : divisor,
                      &remainder);
    return negative ? -quotient : quotient;
}
