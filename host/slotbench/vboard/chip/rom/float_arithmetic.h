/*
 * Sum, difference and the parts of a number, in one precision: rounded to nearest, ties to even; with
 * denormal numbers, infinities and NaN.
 *
 * Before the #include, define for the precision:
 *   number            the type that holds a number
 *   FRACTION_BITS     of the number
 *   EXPONENT_BITS     of the number
 *   ROUNDED_BITS      of struct parts' m, which rounding takes away
 *   HIGH(a)           the word of a with sign, exponent and the first bits of the fraction
 *   HIGH_FRACTION     how many bits of the fraction are in that word
 *   LEADING_ZEROS(a)  of a number that is not zero
 *   STICKY(a, shift)  a shifted right; its last bit tells whether any 1 was shifted out
 *   ADD, SUB          names of the functions
 */

#define NUMBER_BITS (1 + EXPONENT_BITS + FRACTION_BITS)
#define SIGN ((number)1 << (NUMBER_BITS - 1))
#define EXPONENT_MAX ((1 << EXPONENT_BITS) - 1)
#define INFINITE ((number)EXPONENT_MAX << FRACTION_BITS)
#define QUIET ((number)1 << (FRACTION_BITS - 1))
#define FRACTION (((number)1 << FRACTION_BITS) - 1)
#define HALF (1u << (ROUNDED_BITS - 1))

/*
 * A number taken apart: the first bit of m is the second one of its type, or m = 0. The value of a single is
 * m * 2^(exponent - 157), of a double m * 2^(exponent - 1085).
 */
struct parts {
    number sign, m;
    int exponent;
};

static u32 is_nan(number a)
{
    return (a & ~SIGN) > INFINITE;
}

static struct parts take_apart(number a)
{
    struct parts p = {
        .sign = a & SIGN, .m = (a & FRACTION) << ROUNDED_BITS,
        .exponent = (int)(HIGH(a) >> HIGH_FRACTION & EXPONENT_MAX),
    };

    if (p.exponent > 0) {
        p.m |= (number)1 << (NUMBER_BITS - 2);
    } else if (p.m != 0) {
        u32 shift = LEADING_ZEROS(p.m) - 1;
        p.m <<= shift;
        p.exponent = 1 - (int)shift;
    }
    return p;
}

static number put_together(number sign, int exponent, number m)
{
    u32 low;

    if (m == 0)
        return sign;
    if (exponent <= 0) {
        m = STICKY(m, (u32)(1 - exponent));
        exponent = 0;
    }
    low = (u32)m & (2 * HALF - 1);
    m = (m + HALF) >> ROUNDED_BITS;
    if (low == HALF)
        m &= ~(number)1;
    if (exponent == 0)
        return sign | m;
    if (HIGH(m) >> (HIGH_FRACTION + 1)) {
        m >>= 1;
        exponent++;
    }
    if (exponent >= EXPONENT_MAX)
        return sign | INFINITE;
    return sign | (number)exponent << FRACTION_BITS | (m & FRACTION);
}

static number normalize(number sign, int exponent, number m)
{
    u32 shift;

    if (m == 0)
        return 0;
    if (HIGH(m) >> 31)
        return put_together(sign, exponent + 1, m >> 1 | (m & 1));
    shift = LEADING_ZEROS(m) - 1;
    return put_together(sign, exponent - (int)shift, m << shift);
}

number ADD(number a, number b)
{
    struct parts x, y;

    if (is_nan(a) || is_nan(b))
        return (is_nan(a) ? a : b) | QUIET;
    if ((a & ~SIGN) == INFINITE)
        return (b & ~SIGN) == INFINITE && a != b ? INFINITE | QUIET : a;
    if ((b & ~SIGN) == INFINITE)
        return b;
    if ((a & ~SIGN) < (b & ~SIGN)) {
        number other = a;
        a = b;
        b = other;
    }
    x = take_apart(a);
    y = take_apart(b);
    if (y.m == 0)
        return x.m == 0 ? a & b : a;
    y.m = STICKY(y.m, (u32)(x.exponent - y.exponent));
    return normalize(x.sign, x.exponent, x.sign == y.sign ? x.m + y.m : x.m - y.m);
}

number SUB(number a, number b)
{
    return ADD(a, is_nan(b) ? b : b ^ SIGN);
}
