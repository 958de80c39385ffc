/* Formatted text: d i u o x X p c s %, with - + space # 0, width, precision, h and l. */
#include "rom.h"

/* The SDK's own printf takes these from the ROM's data: lower digits, upper digits, text for a null put_string. */
extern const char lower_digits[], upper_digits[], null_text[];

struct format {
    put_function *put;
    int count, width, precision;
    u8 left, plus, space, alternate, zero;
};

static void put_character(struct format *f, char character)
{
    f->put(character);
    f->count++;
}

static void put_repeated(struct format *f, char character, int count)
{
    for (; count > 0; count--)
        put_character(f, character);
}

/* A put_field: sign or prefix, then zeros or blanks up to the width. */
static void put_field(struct format *f, const char *prefix, const char *text, int length, int zeros)
{
    int prefixed = (int)strlen(prefix), blanks = f->width - length - zeros - prefixed;

    if (f->zero && !f->left && f->precision < 0 && blanks > 0) {
        zeros += blanks;
        blanks = 0;
    }
    if (!f->left)
        put_repeated(f, ' ', blanks);
    while (*prefix)
        put_character(f, *prefix++);
    put_repeated(f, '0', zeros);
    while (length-- > 0)
        put_character(f, *text++);
    if (f->left)
        put_repeated(f, ' ', blanks);
}

static void put_number(struct format *f, u32 value, u32 base, const char *digits, const char *prefix)
{
    char text[12], *at = text + sizeof text;
    int length;

    do
        *--at = digits[value % base];
    while ((value /= base) != 0);
    length = (int)(text + sizeof text - at);
    put_field(f, prefix, at, length, f->precision > length ? f->precision - length : 0);
}

static void put_string(struct format *f, const char *text)
{
    int length = 0;

    if (text == NULL)
        text = null_text;
    while ((f->precision < 0 || length < f->precision) && text[length])
        length++;
    f->precision = -1;
    f->zero = 0;
    put_field(f, "", text, length, 0);
}

static const char *parse_integer(const char *format, int *value, va_list *arguments)
{
    if (*format == '*') {
        *value = va_arg(*arguments, int);
        return format + 1;
    }
    for (*value = 0; *format >= '0' && *format <= '9'; format++)
        *value = *value * 10 + *format - '0';
    return format;
}

static const char *parse_flags(struct format *f, const char *format)
{
    f->left = f->plus = f->space = f->alternate = f->zero = 0;
    for (;; format++) {
        switch (*format) {
        case '-': f->left = 1; break;
        case '+': f->plus = 1; break;
        case ' ': f->space = 1; break;
        case '#': f->alternate = 1; break;
        case '0': f->zero = 1; break;
        default: return format;
        }
    }
}

int ets_vprintf(put_function *put, const char *format, va_list arguments)
{
    struct format f = {.put = put};
    va_list rest;
    char single;
    u32 value;

    va_copy(rest, arguments);
    for (; *format; format++) {
        if (*format != '%') {
            put_character(&f, *format);
            continue;
        }
        format = parse_flags(&f, format + 1);
        format = parse_integer(format, &f.width, &rest);
        if (f.width < 0) {
            f.left = 1;
            f.width = -f.width;
        }
        f.precision = -1;
        if (*format == '.')
            format = parse_integer(format + 1, &f.precision, &rest);
        while (*format == 'l' || *format == 'h')
            format++;
        switch (*format) {
        case 'd':
        case 'i':
            value = va_arg(rest, u32);
            put_number(&f, (int)value < 0 ? -value : value, 10, lower_digits,
                   (int)value < 0 ? "-" : f.plus ? "+" : f.space ? " " : "");
            break;
        case 'u':
            put_number(&f, va_arg(rest, u32), 10, lower_digits, "");
            break;
        case 'o':
            put_number(&f, va_arg(rest, u32), 8, lower_digits, f.alternate ? "0" : "");
            break;
        case 'x':
            put_number(&f, va_arg(rest, u32), 16, lower_digits, f.alternate ? "0x" : "");
            break;
        case 'X':
            put_number(&f, va_arg(rest, u32), 16, upper_digits, f.alternate ? "0X" : "");
            break;
        case 'p':
            put_number(&f, va_arg(rest, u32), 16, lower_digits, "0x");
            break;
        case 'c':
            single = (char)va_arg(rest, int);
            f.precision = -1;
            f.zero = 0;
            put_field(&f, "", &single, 1, 0);
            break;
        case 's':
            put_string(&f, va_arg(rest, const char *));
            break;
        case '%':
            put_character(&f, '%');
            break;
        case 0:
            va_end(rest);
            return f.count;
        default:
            put_character(&f, '%');
            put_character(&f, *format);
        }
    }
    va_end(rest);
    return f.count;
}
