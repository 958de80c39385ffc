/* Strings and memory, under the names of C and of the ROM. */
#include "rom.h"

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end)
        end++;
    return (size_t)(end - text);
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (int)(u8)*a - (int)(u8)*b;
}

int strncmp(const char *a, const char *b, size_t bytes)
{
    for (; bytes > 0; a++, b++, bytes--)
        if (*a != *b || *a == 0)
            return (int)(u8)*a - (int)(u8)*b;
    return 0;
}

char *strcpy(char *to, const char *from)
{
    char *at = to;

    while ((*at++ = *from++) != 0)
        ;
    return to;
}

char *strncpy(char *to, const char *from, size_t bytes)
{
    size_t i = 0;

    for (; i < bytes && from[i]; i++)
        to[i] = from[i];
    for (; i < bytes; i++)
        to[i] = 0;
    return to;
}

char *strstr(const char *text, const char *wanted)
{
    size_t bytes = strlen(wanted);

    for (; strncmp(text, wanted, bytes) != 0; text++)
        if (*text == 0)
            return NULL;
    return (char *)text;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const u8 *left = a, *right = b;

    if ((((u32)left | (u32)right) & 3) == 0)
        for (; bytes >= 4 && *(const u32 *)left == *(const u32 *)right; bytes -= 4)
            left += 4, right += 4;
    for (; bytes > 0; left++, right++, bytes--)
        if (*left != *right)
            return (int)*left - (int)*right;
    return 0;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    u8 *target = to;
    const u8 *source = from;

    if (target <= source || target >= source + bytes)
        return memcpy(to, from, bytes);
    if ((((u32)target | (u32)source) & 3) == 0) {
        for (; bytes & 3; bytes--)
            target[bytes - 1] = source[bytes - 1];
        for (; bytes > 0; bytes -= 4)
            *(u32 *)(target + bytes - 4) = *(const u32 *)(source + bytes - 4);
    }
    for (; bytes > 0; bytes--)
        target[bytes - 1] = source[bytes - 1];
    return to;
}

void bzero(void *to, size_t bytes)
{
    memset(to, 0, bytes);
}

static int digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* A hexadecimal digit's value, -1 without one. */
int ets_char2xdigit(char character)
{
    return digit(character);
}

/* "aa:bb:cc:dd:ee:ff" to six bytes: 0, or 1 when it is not that. */
u32 ets_str2macaddr(u8 *mac, const char *text)
{
    for (u32 i = 0; i < 6; i++) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);

        if (low < 0 || (i < 5 && text[2] != ':'))
            return FAIL;
        mac[i] = (u8)(high << 4 | low);
        text += 3;
    }
    return OK;
}

/* The leading decimal number of a text. */
u32 conv_str_decimal(const char *text)
{
    u32 value = 0;
    int negative = *text == '-';

    for (text += negative; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (u32)(*text - '0');
    return negative ? -value : value;
}

/* The leading hexadecimal number of a text, with 0x or without. */
u32 conv_str_hex(const char *text)
{
    u32 value = 0;

    if (text[0] == '0' && (text[1] | 0x20) == 'x')
        text += 2;
    for (; digit(*text) >= 0; text++)
        value = value << 4 | (u32)digit(*text);
    return value;
}

/* The next multiple of a power of two; of any number. */
u32 roundup2(u32 value, u32 power)
{
    return (value + power - 1) & ~(power - 1);
}

u32 multofup(u32 value, u32 step)
{
    return (value + step - 1) / step * step;
}
