/* The two UARTs. Output goes to the one that uart_buff_switch() chose; input comes through an interrupt and a ring. */
#include "special.h"

#define RING_BYTES 256
#define TX_FIFO_LIMIT 126

enum { RX_FULL = 1 << 0, RX_OVERFLOW = 1 << 4, RX_TIMEOUT = 1 << 8 };
enum { CONF0_RX_RESET = 1 << 17, CONF0_TX_RESET = 1 << 18, CONF1_TIMEOUT_ON = 1u << 31 };
enum { AUTOBAUD_ON = 1, GLITCH_FILTER = 8 << 8, PULSES_WANTED = 29 };
enum { EIGHT_BITS = 3, ONE_STOP_BIT = 1 };

static u8 ring[RING_BYTES] __attribute__((section(".bss.high")));

void uart_div_modify(u32 number, u32 divisor)
{
    UART(number, UART_CLKDIV) = divisor;
    UART(number, UART_CONF0) |= CONF0_RX_RESET | CONF0_TX_RESET;
    UART(number, UART_CONF0) &= ~(u32)(CONF0_RX_RESET | CONF0_TX_RESET);
}

/* The parameters of most programs: 8 data bits, no parity, 1 stop bit. */
void uartAttach(void)
{
    UartDev.baud_rate = 115200;
    UartDev.data_bits = EIGHT_BITS;
    UartDev.exist_parity = 0;
    UartDev.parity = 0;
    UartDev.stop_bits = ONE_STOP_BIT;
    UartDev.flow_control = 0;
    UartDev.receive.size = RING_BYTES;
    UartDev.receive.buffer = ring;
    UartDev.receive.write = ring;
    UartDev.receive.read = ring;
    UartDev.receive.trigger_level = 1;
    UartDev.receive.state = 0;
    UartDev.receive_state = 0;
    UartDev.received = 0;
    UartDev.buffer_uart = 0;
    ets_isr_mask(1 << UART_INTERRUPT);
    ets_isr_attach(UART_INTERRUPT, uart_rx_intr_handler, &UartDev);
}

/* The ROM takes the crystal for one of 40 MHz. With the usual 26 MHz its 115200 baud are 74880. */
void Uart_Init(u32 number)
{
    uart_div_modify(number, ets_get_cpu_frequency() * 1000000u / UartDev.baud_rate);
    UART(number, UART_CONF0) =
        UartDev.data_bits << 2 | UartDev.stop_bits << 4 | UartDev.exist_parity << 1 | UartDev.parity;
    UART(number, UART_CONF1) = CONF1_TIMEOUT_ON | 2u << 24 | (UartDev.receive.trigger_level & 0x7F);
    UART(number, UART_INT_CLR) = 0xFFFF;
    UART(number, UART_INT_ENA) = RX_FULL | RX_TIMEOUT | RX_OVERFLOW;
}

struct uart_device *GetUartDevice(void)
{
    return &UartDev;
}

/* Output and the receive buffer go to this UART; UART0's input is emptied. */
void uart_buff_switch(u32 number)
{
    UartDev.buffer_uart = number;
    if (number == 0) {
        UART(0, UART_CONF0) |= CONF0_RX_RESET;
        UART(0, UART_CONF0) &= ~(u32)CONF0_RX_RESET;
    }
}

u8 uart_tx_one_char(u8 character)
{
    u32 number = UartDev.buffer_uart & 1;

    while (UART_TX_COUNT(number) >= TX_FIFO_LIMIT)
        ;
    UART(number, UART_FIFO) = character;
    return OK;
}

/* A byte that does not fit is lost, as on a full FIFO. */
void uart_rx_intr_handler(void *argument)
{
    struct uart_device *device = argument;

    while (UART_RX_COUNT(0) != 0) {
        u8 character = (u8)UART(0, UART_FIFO), *next = device->receive.write + 1;

        if (next == device->receive.buffer + device->receive.size)
            next = device->receive.buffer;
        if (next != device->receive.read) {
            *device->receive.write = character;
            device->receive.write = next;
        }
    }
    UART(0, UART_INT_CLR) = RX_FULL | RX_TIMEOUT | RX_OVERFLOW;
}

u32 uart_rx_one_char(u8 *character)
{
    u32 ps = set_interrupt_level_3(), result = FAIL;

    if (UartDev.receive.read != UartDev.receive.write) {
        *character = *UartDev.receive.read++;
        if (UartDev.receive.read == UartDev.receive.buffer + UartDev.receive.size)
            UartDev.receive.read = UartDev.receive.buffer;
        result = OK;
    }
    WRITE_SPECIAL(ps, ps);
    return result;
}

u8 uart_rx_one_char_block(void)
{
    u8 character;

    while (uart_rx_one_char(&character) != OK)
        ;
    return character;
}

/* Up to `bytes` bytes of what has come; how many. */
u32 uart_rx_readbuff(u8 *to, u32 bytes)
{
    u32 got = 0;

    while (got < bytes && uart_rx_one_char(to + got) == OK)
        got++;
    return got;
}

/* The divisor that fits what comes in, from the shortest low and high pulse; 0 while there are too few pulses, without `wait`.
 * Counting begins with the first call and ends with the result. */
u32 uart_baudrate_detect(u32 number, u32 wait)
{
    u32 divisor = 0;

    if (!(UART(number, UART_AUTOBAUD) & AUTOBAUD_ON))
        UART(number, UART_AUTOBAUD) = GLITCH_FILTER | AUTOBAUD_ON;
    do {
        if ((UART(number, UART_PULSE_NUM) & 0x3FF) >= PULSES_WANTED) {
            u32 low = UART(number, UART_LOWPULSE) & 0xFFFFF, high = UART(number, UART_HIGHPULSE) & 0xFFFFF;
            divisor = (low + high) / 2;
        }
    } while (divisor == 0 && wait);
    if (divisor != 0)
        UART(number, UART_AUTOBAUD) = 0;
    return divisor;
}
