/* Base64 (RFC 4648), lines of 72 characters, in memory of the heap: the caller frees it. */
#include "rom.h"

enum { LINE = 72 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

u8 *base64_encode(const u8 *from, u32 bytes, u32 *out_bytes)
{
    u32 characters = (bytes + 2) / 3 * 4, lines = (characters + LINE - 1) / LINE;
    u8 *text = mem_malloc(characters + lines + 1), *at = text;

    if (text == NULL)
        return NULL;
    for (u32 i = 0; i < bytes; i += 3) {
        u32 left = bytes - i, three = (u32)from[i] << 16;

        if (left > 1)
            three |= (u32)from[i + 1] << 8;
        if (left > 2)
            three |= from[i + 2];
        *at++ = (u8)alphabet[three >> 18];
        *at++ = (u8)alphabet[three >> 12 & 63];
        *at++ = left > 1 ? (u8)alphabet[three >> 6 & 63] : '=';
        *at++ = left > 2 ? (u8)alphabet[three & 63] : '=';
        if ((i / 3 + 1) % (LINE / 4) == 0 || left <= 3)
            *at++ = '\n';
    }
    *at = 0;
    if (out_bytes)
        *out_bytes = (u32)(at - text);
    return text;
}

static int value_of(u8 character)
{
    for (int i = 0; i < 64; i++)
        if (alphabet[i] == (char)character)
            return i;
    return -1;
}

/* Characters outside the alphabet are passed over; `=` ends it. */
u8 *base64_decode(const u8 *from, u32 bytes, u32 *out_bytes)
{
    u8 *data = mem_malloc(bytes / 4 * 3 + 3), *at = data;
    u32 bits = 0, held = 0;

    if (data == NULL)
        return NULL;
    for (u32 i = 0; i < bytes && from[i] != '='; i++) {
        int value = value_of(from[i]);

        if (value < 0)
            continue;
        held = held << 6 | (u32)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *at++ = (u8)(held >> bits);
        }
    }
    *out_bytes = (u32)(at - data);
    return data;
}
