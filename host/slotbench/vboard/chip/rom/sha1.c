/* SHA-1 (FIPS 180-4). */
#include "rom.h"

static u32 rotate(u32 value, u32 turn)
{
    return value << turn | value >> (32 - turn);
}

static u32 big_endian(const u8 *bytes)
{
    return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

static void put_big_endian(u8 *bytes, u32 word)
{
    bytes[0] = (u8)(word >> 24);
    bytes[1] = (u8)(word >> 16);
    bytes[2] = (u8)(word >> 8);
    bytes[3] = (u8)word;
}

/* One step without moving words: the five names change places from step to step. */
#define STEP(function, constant, a, b, c, d, e) \
    do { \
        e += rotate(a, 5) + (function) + (constant) + *word++; \
        b = rotate(b, 30); \
    } while (0)
#define CHOICE(b, c, d) (d ^ (b & (c ^ d)))
#define PARITY(b, c, d) (b ^ c ^ d)
#define MAJORITY(b, c, d) ((b & c) | (d & (b | c)))
#define TWENTY_STEPS(function, constant) \
    for (const u32 *end = word + 20; word < end;) { \
        STEP(function(b, c, d), constant, a, b, c, d, e); \
        STEP(function(a, b, c), constant, e, a, b, c, d); \
        STEP(function(e, a, b), constant, d, e, a, b, c); \
        STEP(function(d, e, a), constant, c, d, e, a, b); \
        STEP(function(c, d, e), constant, b, c, d, e, a); \
    }

void SHA1Transform(u32 *state, const u8 *block)
{
    u32 words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    const u32 *word = words;

    for (u32 i = 0; i < 16; i++)
        words[i] = big_endian(block + 4 * i);
    for (u32 *next = words + 16; next < words + 80; next++)
        *next = rotate(next[-3] ^ next[-8] ^ next[-14] ^ next[-16], 1);
    TWENTY_STEPS(CHOICE, 0x5A827999);
    TWENTY_STEPS(PARITY, 0x6ED9EBA1);
    TWENTY_STEPS(MAJORITY, 0x8F1BBCDC);
    TWENTY_STEPS(PARITY, 0xCA62C1D6);
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void SHA1Init(struct sha1 *sha1)
{
    sha1->state[0] = 0x67452301;
    sha1->state[1] = 0xEFCDAB89;
    sha1->state[2] = 0x98BADCFE;
    sha1->state[3] = 0x10325476;
    sha1->state[4] = 0xC3D2E1F0;
    sha1->bits[0] = sha1->bits[1] = 0;
}

void SHA1Update(struct sha1 *sha1, const void *data, u32 bytes)
{
    const u8 *from = data;
    u32 filled = sha1->bits[0] >> 3 & 63;

    sha1->bits[0] += bytes << 3;
    sha1->bits[1] += (bytes >> 29) + (sha1->bits[0] < bytes << 3);
    while (bytes > 0) {
        u32 now = 64 - filled < bytes ? 64 - filled : bytes;

        memcpy(sha1->block + filled, from, now);
        from += now, bytes -= now, filled += now;
        if (filled < 64)
            return;
        SHA1Transform(sha1->state, sha1->block);
        filled = 0;
    }
}

void SHA1Final(u8 *digest, struct sha1 *sha1)
{
    u32 filled = sha1->bits[0] >> 3 & 63;

    sha1->block[filled++] = 0x80;
    if (filled > 56) {
        memset(sha1->block + filled, 0, 64 - filled);
        SHA1Transform(sha1->state, sha1->block);
        filled = 0;
    }
    memset(sha1->block + filled, 0, 56 - filled);
    put_big_endian(sha1->block + 56, sha1->bits[1]);
    put_big_endian(sha1->block + 60, sha1->bits[0]);
    SHA1Transform(sha1->state, sha1->block);
    for (u32 i = 0; i < 5; i++)
        put_big_endian(digest + 4 * i, sha1->state[i]);
    memset(sha1, 0, sizeof *sha1);
}
