/* RC4 with the first bytes of its stream left out. */
#include "rom.h"

int rc4_skip(const u8 *key, u32 key_bytes, u32 skip, u8 *data, u32 bytes)
{
    u8 s[256], swapped;
    u32 i, j = 0;

    for (i = 0; i < 256; i++)
        s[i] = (u8)i;
    for (i = 0; i < 256; i++) {
        j = (j + s[i] + key[i % key_bytes]) & 0xFF;
        swapped = s[i], s[i] = s[j], s[j] = swapped;
    }
    i = j = 0;
    for (u32 at = 0; at < skip + bytes; at++) {
        i = (i + 1) & 0xFF;
        j = (j + s[i]) & 0xFF;
        swapped = s[i], s[i] = s[j], s[j] = swapped;
        if (at >= skip)
            data[at - skip] ^= s[(s[i] + s[j]) & 0xFF];
    }
    return 0;
}
