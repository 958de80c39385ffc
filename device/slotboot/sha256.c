/* SHA-256 (FIPS 180-4) over words of flash. Small first: a verified pass over 640 KB takes between one and two seconds. */
#include "slotboot.h"

static const u32 initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const u32 constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline u32 rotate(u32 x, int by)
{
    return x >> by | x << (32 - by);
}

/* The bytes of a word in the other order. */
static __attribute__((noinline)) u32 swapped(u32 x)
{
    u32 y;

    __asm__("ssai 8\n\tsrli %0, %1, 16\n\tsrc %0, %0, %1\n\tsrc %0, %0, %0\n\tsrc %0, %1, %0" : "=&r"(y) : "r"(x));
    return y;
}

/* Not inlined, as sha256_add: the benches take both over. */
static __attribute__((noinline)) void compress(void)
{
    /* The working variables a to h are v[0] to v[7]; instead of moving all of them, each round moves v one down. */
    u32 *v = &board->working[64], *w = board->schedule;
    const u32 *k = constants;

    copy(v, board->digest, 8 * WORD);
    for (; w < &board->schedule[64]; w++, v--) {
        u32 a = v[0], e = v[4];
        u32 t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (v[6] ^ (e & (v[5] ^ v[6]))) + *k++ + *w;
        u32 x = w[1], y = w[14];
        v[3] += t;
        v[-1] = t + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) | (v[2] & (a | v[1])));
        /* Behind the 64th word lies what nobody needs any more. */
        w[16] = w[0] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[9] + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    for (u32 i = 0; i < 8; i++)
        board->digest[i] += v[i];
}

/* The next word of the message as flash has it; every sixteenth completes a block. */
static void put(u32 value)
{
    u32 index = board->hashed / WORD & 15;

    board->schedule[index] = swapped(value);
    board->hashed += WORD;
    if (index == 15)
        compress();
}

/* No code: a name in slotboot.sym for the benches, which may take over the digest's functions. */
#define NAMED(field) __asm__(".global " #field "\n\t.set " #field ", %0" : : "i"(BOARD_AT + offsetof(struct board, field)))

void sha256_begin(void)
{
    NAMED(hashed);
    NAMED(rest);
    NAMED(digest);
    NAMED(schedule);
    NAMED(reader_at);
    NAMED(reader_hashes);
    board->hashed = 0;
    copy(board->digest, initial, 8 * WORD);
}

__attribute__((noinline)) void sha256_add(const word *data, u32 bytes)
{
    for (; bytes >= WORD; bytes -= WORD)
        put(*data++);
    board->hashed += bytes;
    board->rest = *data;
}

void sha256_end(void)
{
    u32 bytes = board->hashed, shift = 8 * (bytes % WORD);

    board->hashed = bytes & ~3u;
    put((board->rest & ~(BLANK << shift)) | 0x80u << shift);
    /* The length has two words; the upper one is always 0. */
    do {
        put(0);
    } while ((board->hashed / WORD & 15) != 15);
    put(swapped(bytes << 3));
    for (u32 i = 0; i < 8; i++)
        board->digest[i] = swapped(board->digest[i]);
}

static __attribute__((noinline)) void digest_of(const word *body, u32 bytes)
{
    sha256_begin();
    sha256_add(body, bytes);
    sha256_end();
}

u32 unsealed(const word *body, u32 bytes)
{
    digest_of(body, bytes);
    return differs(body + bytes / WORD, board->digest, 2 * WORD);
}

void seal(word *body, u32 bytes)
{
    digest_of(body, bytes);
    copy(body + bytes / WORD, board->digest, 2 * WORD);
}
