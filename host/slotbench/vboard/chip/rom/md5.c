/* MD5 (RFC 1321). The table of sines is data, so it lies in RAM. */
#include "rom.h"

static const u32 sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static u32 rotate(u32 value, u32 turn)
{
    return value << turn | value >> (32 - turn);
}

/* One step; then the four words change places. */
#define STEP(function, word, turn) \
    do { \
        u32 sum_ = a + (function) + *sine++ + words[(word) & 15]; \
        a = d, d = c, c = b; \
        b += rotate(sum_, turn); \
    } while (0)

static void md5_block(u32 *state, const u32 *words)
{
    const u32 *sine = sines;
    u32 a = state[0], b = state[1], c = state[2], d = state[3];

    for (u32 i = 0; i < 16; i += 4) {
        STEP(d ^ (b & (c ^ d)), i, 7);
        STEP(d ^ (b & (c ^ d)), i + 1, 12);
        STEP(d ^ (b & (c ^ d)), i + 2, 17);
        STEP(d ^ (b & (c ^ d)), i + 3, 22);
    }
    for (u32 i = 1; i < 81; i += 20) {
        STEP(c ^ (d & (b ^ c)), i, 5);
        STEP(c ^ (d & (b ^ c)), i + 5, 9);
        STEP(c ^ (d & (b ^ c)), i + 10, 14);
        STEP(c ^ (d & (b ^ c)), i + 15, 20);
    }
    for (u32 i = 5; i < 53; i += 12) {
        STEP(b ^ c ^ d, i, 4);
        STEP(b ^ c ^ d, i + 3, 11);
        STEP(b ^ c ^ d, i + 6, 16);
        STEP(b ^ c ^ d, i + 9, 23);
    }
    for (u32 i = 0; i < 112; i += 28) {
        STEP(c ^ (b | ~d), i, 6);
        STEP(c ^ (b | ~d), i + 7, 10);
        STEP(c ^ (b | ~d), i + 14, 15);
        STEP(c ^ (b | ~d), i + 21, 21);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

void MD5Init(struct md5 *md5)
{
    md5->state[0] = 0x67452301;
    md5->state[1] = 0xefcdab89;
    md5->state[2] = 0x98badcfe;
    md5->state[3] = 0x10325476;
    md5->bits[0] = md5->bits[1] = 0;
}

void MD5Update(struct md5 *md5, const void *data, u32 bytes)
{
    const u8 *from = data;
    u32 filled = md5->bits[0] >> 3 & 63;

    md5->bits[0] += bytes << 3;
    md5->bits[1] += (bytes >> 29) + (md5->bits[0] < bytes << 3);
    while (bytes > 0) {
        u32 now = 64 - filled < bytes ? 64 - filled : bytes;

        memcpy(md5->block + filled, from, now);
        from += now, bytes -= now, filled += now;
        if (filled < 64)
            return;
        md5_block(md5->state, (const u32 *)md5->block);
        filled = 0;
    }
}

void MD5Final(u8 *digest, struct md5 *md5)
{
    u32 filled = md5->bits[0] >> 3 & 63;

    md5->block[filled++] = 0x80;
    if (filled > 56) {
        memset(md5->block + filled, 0, 64 - filled);
        md5_block(md5->state, (const u32 *)md5->block);
        filled = 0;
    }
    memset(md5->block + filled, 0, 56 - filled);
    memcpy(md5->block + 56, md5->bits, 8);
    md5_block(md5->state, (const u32 *)md5->block);
    memcpy(digest, md5->state, 16);
    memset(md5, 0, sizeof *md5);
}
