/* Where printed characters go: one or two functions that a program installs, or the UART. */
#include "rom.h"

/* Public addresses of these two: 0x3FFFDD48, 0x3FFFDD4C. */
extern put_function *putc1, *putc2;

void ets_install_putc1(put_function *put)
{
    putc1 = put;
}

void ets_install_putc2(put_function *put)
{
    putc2 = put;
}

void ets_install_external_printf(put_function *put)
{
    putc1 = put;
}

/* A line ends with carriage return and line feed. */
int ets_putc(int character)
{
    if (character == '\n')
        uart_tx_one_char('\r');
    if (character != '\r')
        uart_tx_one_char((u8)character);
    return 0;
}

static void put_uart(char character)
{
    ets_putc(character);
}

void ets_install_uart_printf(void)
{
    putc1 = put_uart;
}

void ets_write_char(char character)
{
    if (putc1)
        putc1(character);
    if (putc2)
        putc2(character);
}

int ets_printf(const char *format, ...)
{
    va_list arguments;
    int count;

    va_start(arguments, format);
    count = ets_vprintf(ets_write_char, format, arguments);
    va_end(arguments);
    return count;
}

int ets_external_printf(const char *format, ...)
{
    va_list arguments;
    int count;

    va_start(arguments, format);
    count = ets_vprintf(ets_write_char, format, arguments);
    va_end(arguments);
    return count;
}

int ets_uart_printf(const char *format, ...)
{
    va_list arguments;
    int count;

    va_start(arguments, format);
    count = ets_vprintf(put_uart, format, arguments);
    va_end(arguments);
    return count;
}

/* Input for the same UART; -1 without any. */
int ets_getc(void)
{
    u8 character;

    return uart_rx_one_char(&character) == OK ? character : -1;
}
