/* AES with 128-bit keys (FIPS 197) and its key unwrapping (RFC 3394), with wpa_supplicant's prototypes.
 *
 * Programs reach for the tables by their addresses: a column of the mixed S-box (Te0), one of the inverse (Td0), the inverse
 * S-box (Td4s), the constants of the key schedule (rcons). They are computed at each start.
 */
#include "rom.h"

enum { WORDS = 4, ROUNDS = 10, KEY_WORDS = 4 * (ROUNDS + 1) };

extern u32 Te0[256], Td0[256];
extern u8 Td4s[256], rcons[16];

static u32 rotate_right(u32 value, u32 turn)
{
    return value >> turn | value << (32 - turn);
}

/* Products in the field of 256 elements. */
static u32 times_2(u32 a)
{
    return (a << 1 ^ (a & 0x80 ? 0x11B : 0)) & 0xFF;
}

static u32 times_3(u32 a)
{
    return times_2(a) ^ a;
}

/* Walk through all elements: a by a factor of 3, b by its inverse, so b stays the inverse of a. */
void cipher_tables_reset(void)
{
    u32 a = 1, b = 1, power = 1;

    for (u32 i = 0; i < 256; i++) {
        u32 s, t2, t4, t8;

        a = i == 255 ? 0 : times_3(a);
        b ^= b << 1, b ^= b << 2, b ^= b << 4;
        b &= 0xFF;
        if (b & 0x80)
            b ^= 0x09;
        s = i == 255 ? 0 : b;
        s = (s ^ s << 1 ^ s << 2 ^ s << 3 ^ s << 4);
        s = (s ^ s >> 8 ^ 0x63) & 0xFF;
        Te0[a] = times_2(s) << 24 | s << 16 | s << 8 | times_3(s);
        Td4s[s] = (u8)a;
        t2 = times_2(a), t4 = times_2(t2), t8 = times_2(t4);
        Td0[s] = (t8 ^ t4 ^ t2) << 24 | (t8 ^ a) << 16 | (t8 ^ t4 ^ a) << 8 | (t8 ^ t2 ^ a);
    }
    for (u32 i = 0; i < ROUNDS; i++, power = times_2(power))
        rcons[i] = (u8)power;
}

static u32 big_endian(const u8 *bytes)
{
    return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

static u32 s_box(u32 byte)
{
    return Te0[byte & 0xFF] >> 8 & 0xFF;
}

static u32 s_box_word(u32 word)
{
    return s_box(word >> 24) << 24 | s_box(word >> 16) << 16 | s_box(word >> 8) << 8 | s_box(word);
}

/* The 44 words of the key schedule. */
void rijndaelKeySetupEnc(u32 *schedule, const u8 *key)
{
    for (u32 i = 0; i < KEY_WORDS; i++) {
        u32 before = i < WORDS ? 0 : schedule[i - 1];

        if (i < WORDS) {
            schedule[i] = big_endian(key + 4 * i);
            continue;
        }
        if (i % WORDS == 0)
            before = s_box_word(rotate_right(before, 24)) ^ (u32)rcons[i / WORDS - 1] << 24;
        schedule[i] = schedule[i - WORDS] ^ before;
    }
}

static u32 unmix(u32 word)
{
    return Td0[word >> 24] ^ rotate_right(Td0[word >> 16 & 0xFF], 8) ^ rotate_right(Td0[word >> 8 & 0xFF], 16) ^
        rotate_right(Td0[word & 0xFF], 24);
}

/* The schedule for deciphering: rounds in reverse, the inner ones through the inverse mix. */
void rijndaelKeySetupDec(u32 *schedule, const u8 *key)
{
    rijndaelKeySetupEnc(schedule, key);
    for (u32 i = 0, j = KEY_WORDS - WORDS; i < j; i += WORDS, j -= WORDS)
        for (u32 k = 0; k < WORDS; k++) {
            u32 word = schedule[i + k];
            schedule[i + k] = schedule[j + k];
            schedule[j + k] = word;
        }
    for (u32 i = WORDS; i < KEY_WORDS - WORDS; i++)
        schedule[i] = unmix(s_box_word(schedule[i]));
}

static u32 s_box_inverse_columns(const u32 *s, u32 i)
{
    return (u32)Td4s[s[i] >> 24] << 24 | (u32)Td4s[s[(i + 3) & 3] >> 16 & 0xFF] << 16 |
        (u32)Td4s[s[(i + 2) & 3] >> 8 & 0xFF] << 8 | Td4s[s[(i + 1) & 3] & 0xFF];
}

void aes_decrypt(const u32 *schedule, const u8 *from, u8 *to)
{
    u32 s[WORDS], t[WORDS];

    for (u32 i = 0; i < WORDS; i++)
        s[i] = big_endian(from + 4 * i) ^ *schedule++;
    for (u32 round = 1; round < ROUNDS; round++) {
        for (u32 i = 0; i < WORDS; i++)
            t[i] = Td0[s[i] >> 24] ^ rotate_right(Td0[s[(i + 3) & 3] >> 16 & 0xFF], 8) ^
                rotate_right(Td0[s[(i + 2) & 3] >> 8 & 0xFF], 16) ^ rotate_right(Td0[s[(i + 1) & 3] & 0xFF], 24) ^ *schedule++;
        memcpy(s, t, sizeof s);
    }
    for (u32 i = 0; i < WORDS; i++) {
        u32 word = s_box_inverse_columns(s, i) ^ *schedule++;
        to[4 * i] = (u8)(word >> 24);
        to[4 * i + 1] = (u8)(word >> 16);
        to[4 * i + 2] = (u8)(word >> 8);
        to[4 * i + 3] = (u8)word;
    }
}

/* A schedule in memory of the heap, or none when the key has not 16 bytes. */
u32 *aes_decrypt_init(const u8 *key, u32 bytes)
{
    u32 *schedule = bytes == 16 ? mem_malloc(KEY_WORDS * 4) : NULL;

    if (schedule)
        rijndaelKeySetupDec(schedule, key);
    return schedule;
}

void aes_decrypt_deinit(u32 *schedule)
{
    memset(schedule, 0, KEY_WORDS * 4);
    mem_free(schedule);
}

/* `blocks` blocks of 8 bytes out of one more; 0, or -1 when they were not wrapped with this key. */
int aes_unwrap(const u8 *key, int blocks, const u8 *wrapped, u8 *plain)
{
    u32 schedule[KEY_WORDS];
    u8 a[8], b[16], different = 0;

    rijndaelKeySetupDec(schedule, key);
    memcpy(a, wrapped, 8);
    memcpy(plain, wrapped + 8, 8 * (u32)blocks);
    for (int j = 5; j >= 0; j--)
        for (int i = blocks; i >= 1; i--) {
            memcpy(b, a, 8);
            b[7] ^= (u8)(blocks * j + i);
            memcpy(b + 8, plain + 8 * (i - 1), 8);
            aes_decrypt(schedule, b, b);
            memcpy(a, b, 8);
            memcpy(plain + 8 * (i - 1), b + 8, 8);
        }
    for (u32 i = 0; i < 8; i++)
        different |= a[i] ^ 0xA6;
    return different ? -1 : 0;
}
