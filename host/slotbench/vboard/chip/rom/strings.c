/* Strings and memory, under the names of C and of the ROM. */
#include "rom.h"

/* Whether a word has a byte of zero. */
static u32 has_zero_byte(u32 word)
{
    return (word - 0x01010101) & ~word & 0x80808080;
}

static u32 are_aligned(const void *a, const void *b)
{
    return (((u32)a | (u32)b) & 3) == 0;
}

/* The first of `bytes` bytes in which two words differ, or that is zero, decides; 0 when there is none. */
static int compare_in_words(u32 a, u32 b, u32 bytes)
{
    for (; bytes > 0; a >>= 8, b >>= 8, bytes--)
        if ((a & 0xFF) != (b & 0xFF) || (a & 0xFF) == 0)
            return (int)(a & 0xFF) - (int)(b & 0xFF);
    return 0;
}

size_t strlen(const char *text)
{
    const char *end = text;
    u32 word;

    for (; (u32)end & 3; end++)
        if (*end == 0)
            return (size_t)(end - text);
    while (!has_zero_byte(word = *(const u32 *)end))
        end += 4;
    for (; word & 0xFF; word >>= 8)
        end++;
    return (size_t)(end - text);
}

int strcmp(const char *a, const char *b)
{
    if (are_aligned(a, b)) {
        while (*(const u32 *)a == *(const u32 *)b && !has_zero_byte(*(const u32 *)a))
            a += 4, b += 4;
        return compare_in_words(*(const u32 *)a, *(const u32 *)b, 4);
    }
    while (*a && *a == *b)
        a++, b++;
    return (int)(u8)*a - (int)(u8)*b;
}

int strncmp(const char *a, const char *b, size_t bytes)
{
    if (are_aligned(a, b)) {
        for (; bytes >= 4 && *(const u32 *)a == *(const u32 *)b && !has_zero_byte(*(const u32 *)a); bytes -= 4)
            a += 4, b += 4;
        return bytes == 0 ? 0 : compare_in_words(*(const u32 *)a, *(const u32 *)b, bytes < 4 ? bytes : 4);
    }
    for (; bytes > 0; a++, b++, bytes--)
        if (*a != *b || *a == 0)
            return (int)(u8)*a - (int)(u8)*b;
    return 0;
}

/* Copy bytes of a text, reading whole words of a source that is are_aligned. */
static void copy_text(char *to, const char *from, size_t bytes)
{
    size_t whole = bytes & ~3u;
    u32 word;

    if (!are_aligned(from, from)) {
        memcpy(to, from, bytes);
        return;
    }
    memcpy(to, from, whole);
    for (word = bytes & 3 ? *(const u32 *)(from + whole) : 0; whole < bytes; word >>= 8)
        to[whole++] = (char)word;
}

char *strcpy(char *to, const char *from)
{
    copy_text(to, from, strlen(from) + 1);
    return to;
}

char *strncpy(char *to, const char *from, size_t bytes)
{
    size_t length = strlen(from);

    if (length > bytes)
        length = bytes;
    copy_text(to, from, length);
    memset(to + length, 0, bytes - length);
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

    if (are_aligned(a, b)) {
        u32 x = 0, y = 0;

        for (; bytes > 0; left += 4, right += 4, bytes = bytes < 4 ? 0 : bytes - 4) {
            x = *(const u32 *)left, y = *(const u32 *)right;
            if (x != y)
                break;
        }
        for (bytes = bytes < 4 ? bytes : 4; bytes > 0; x >>= 8, y >>= 8, bytes--)
            if ((x & 0xFF) != (y & 0xFF))
                return (int)(x & 0xFF) - (int)(y & 0xFF);
        return 0;
    }
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

static int digit_value(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* A hexadecimal digit_value's value, -1 without one. */
int ets_char2xdigit(char character)
{
    return digit_value(character);
}

/* "aa:bb:cc:dd:ee:ff" to six bytes: 0, or 1 when it is not that. */
u32 ets_str2macaddr(u8 *mac, const char *text)
{
    for (u32 i = 0; i < 6; i++) {
        int high = digit_value(text[0]), low = high < 0 ? -1 : digit_value(text[1]);

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
    for (; digit_value(*text) >= 0; text++)
        value = value << 4 | (u32)digit_value(*text);
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
