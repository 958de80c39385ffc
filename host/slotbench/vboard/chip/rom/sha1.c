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

/* The schedule is a ring of 16 words: word i is made of those 3, 8, 14 and 16 before. */
static u32 schedule(u32 *words, u32 i)
{
    u32 *word = words + (i & 15);

    if (i >= 16)
        *word = rotate(words[(i - 3) & 15] ^ words[(i - 8) & 15] ^ words[(i - 14) & 15] ^ *word, 1);
    return *word;
}

void SHA1Transform(u32 *state, const u8 *block)
{
    u32 words[16], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (u32 i = 0; i < 16; i++)
        words[i] = big_endian(block + 4 * i);
    for (u32 i = 0; i < 80; i++) {
        u32 mixed, sum;

        if (i < 20)
            mixed = (d ^ (b & (c ^ d))) + 0x5A827999;
        else if (i < 40)
            mixed = (b ^ c ^ d) + 0x6ED9EBA1;
        else if (i < 60)
            mixed = ((b & c) | (d & (b | c))) + 0x8F1BBCDC;
        else
            mixed = (b ^ c ^ d) + 0xCA62C1D6;
        sum = rotate(a, 5) + mixed + e + schedule(words, i);
        e = d, d = c, c = rotate(b, 30), b = a, a = sum;
    }
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
