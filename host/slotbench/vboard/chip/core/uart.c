/* UART0 and UART1: FIFOs, thresholds, time-outs, interrupts. Bytes leave at once and arrive at the line's speed. */
#include "chip.h"

enum {
    DATA = 0x0, INT_RAW = 0x4, INT_ST = 0x8, INT_ENA = 0xC, INT_CLR = 0x10, CLKDIV = 0x14, AUTOBAUD = 0x18, STATUS = 0x1C,
    CONF0 = 0x20, CONF1 = 0x24, LOWPULSE = 0x28, HIGHPULSE = 0x2C, PULSE_NUM = 0x30, DATE = 0x78,
    RX_FULL = 1, TX_EMPTY = 2, OVERFLOW_BIT = 16, TIMEOUT = 256,
    ROM_CLOCK = 52000000 /* what the UART counts with until the SDK starts the PLL: auto-baud is over by then */
};

static u32 conf(const struct chip *c, int uart, u32 at)
{
    return c->io[((uart ? 0xF00 : 0) + at) / 4];
}

static void update(struct chip *c)
{
    int active = 0;

    for (int i = 0; i < 2; i++) {
        struct uart *u = &c->uart[i];
        u32 threshold = conf(c, i, CONF1) & 0x7F;

        if (u->rx_count && u->rx_count >= threshold)
            u->raw |= RX_FULL;
        u->raw |= TX_EMPTY;
        active |= (u->raw & u->enable) != 0;
    }
    set_level(c, INT_UART, active);
}

static void plan_timeout(struct chip *c, int uart, u64 tick)
{
    struct uart *u = &c->uart[uart];
    u32 conf1 = conf(c, uart, CONF1);

    u->timeout_tick = NEVER;
    if (u->rx_count && conf1 >> 31)
        u->timeout_tick = tick + (conf1 >> 24 & 0x7F) * 8 * c->rx_byte_ticks / 10;
}

static void arrive(struct chip *c, u8 byte, u64 tick)
{
    struct uart *u = &c->uart[0];

    if (u->rx_count == FIFO) {
        u->raw |= OVERFLOW_BIT;
        c->count.uart_overflows++;
    } else {
        u->rx[(u->rx_head + u->rx_count++) % FIFO] = byte;
    }
    if (conf(c, 0, AUTOBAUD) & 1)
        c->io[PULSE_NUM / 4] += 10;
    plan_timeout(c, 0, tick);
}

void uart_events(struct chip *c, u64 tick)
{
    struct uart *u = &c->uart[0];

    if (tick < uart_next(c))
        return;
    while (c->rx_ring_count && c->rx_next_tick <= tick) {
        arrive(c, c->rx_ring[c->rx_ring_head], c->rx_next_tick);
        c->rx_ring_head = (c->rx_ring_head + 1) % RX_RING;
        c->rx_ring_count--;
        c->rx_next_tick += c->rx_byte_ticks;
    }
    if (u->timeout_tick <= tick) {
        u->timeout_tick = NEVER;
        if (u->rx_count)
            u->raw |= TIMEOUT;
    }
    update(c);
}

u64 uart_next(const struct chip *c)
{
    u64 next = c->rx_ring_count ? c->rx_next_tick : NEVER;

    return c->uart[0].timeout_tick < next ? c->uart[0].timeout_tick : next;
}

static u32 take(struct chip *c, int uart)
{
    struct uart *u = &c->uart[uart];
    u32 byte;

    if (!u->rx_count)
        return 0;
    byte = u->rx[u->rx_head];
    u->rx_head = (u->rx_head + 1) % FIFO;
    u->rx_count--;
    plan_timeout(c, uart, now(c));
    look_around(c);
    return byte;
}

u32 uart_read(struct chip *c, int uart, u32 at)
{
    struct uart *u = &c->uart[uart];

    switch (at) {
    case DATA: return take(c, uart);
    case INT_RAW: return u->raw;
    case INT_ST: return u->raw & u->enable;
    case INT_ENA: return u->enable;
    case INT_CLR: return 0;
    case STATUS: return u->rx_count;
    case LOWPULSE: case HIGHPULSE: return ROM_CLOCK / c->line_baud;
    case PULSE_NUM: return c->io[((uart ? 0xF00 : 0) + at) / 4] & 0x3FF;
    default: return conf(c, uart, at);
    }
}

static void transmit(struct chip *c, int uart, u8 byte)
{
    struct uart *u = &c->uart[uart];

    if (u->tx_count < TX_RING)
        u->tx_ring[(u->tx_head + u->tx_count++) % TX_RING] = byte;
    if (u->tx_count >= TX_RING / 2 || (c->stop_on_output && uart == 0))
        stop(c, CHIP_OUTPUT, (u32)uart);
}

void uart_write(struct chip *c, int uart, u32 at, u32 value)
{
    struct uart *u = &c->uart[uart];
    u32 index = ((uart ? 0xF00 : 0) + at) / 4;

    switch (at) {
    case DATA:
        transmit(c, uart, (u8)value);
        return;
    case INT_RAW: case INT_ST: case STATUS: case LOWPULSE: case HIGHPULSE: case PULSE_NUM:
        return;
    case INT_ENA:
        u->enable = value;
        break;
    case INT_CLR:
        u->raw &= ~value;
        break;
    case AUTOBAUD:
        if ((value & 1) && !(c->io[index] & 1))
            c->io[index - AUTOBAUD / 4 + PULSE_NUM / 4] = 0;
        c->io[index] = value;
        return;
    case CONF0:
        c->io[index] = value;
        if (value >> 17 & 1) {
            u->rx_count = 0;
            u->timeout_tick = NEVER;
        }
        break;
    case CONF1:
        c->io[index] = value;
        plan_timeout(c, uart, now(c));
        look_around(c);
        break;
    default:
        c->io[index] = value;
        return;
    }
    update(c);
}

void uart_reset(struct chip *c)
{
    for (int i = 0; i < 2; i++) {
        struct uart *u = &c->uart[i];

        u->rx_head = u->rx_count = u->raw = u->enable = 0;
        u->timeout_tick = NEVER;
        c->io[((i ? 0xF00 : 0) + DATE) / 4] = 0x00062000;
        c->io[((i ? 0xF00 : 0) + CONF1) / 4] = 0x00006060;
        c->io[((i ? 0xF00 : 0) + CLKDIV) / 4] = 694;
    }
}

void chip_uart_baud(struct chip *c, u32 baud)
{
    c->line_baud = baud ? baud : 115200;
    c->rx_byte_ticks = (u64)CHIP_TICKS_PER_US * 1000000 * 10 / c->line_baud;
}

u32 chip_uart_send(struct chip *c, const void *data, u32 bytes)
{
    const u8 *from = data;
    u32 sent;

    if (!c->rx_ring_count) {
        u64 free_at = now(c) + c->rx_byte_ticks;
        c->rx_next_tick = c->rx_next_tick > free_at ? c->rx_next_tick : free_at;
    }
    for (sent = 0; sent < bytes && c->rx_ring_count < RX_RING; sent++)
        c->rx_ring[(c->rx_ring_head + c->rx_ring_count++) % RX_RING] = from[sent];
    return sent;
}

u32 chip_uart_waiting(struct chip *c)
{
    return c->rx_ring_count;
}

u32 chip_uart_take(struct chip *c, int uart, void *data, u32 bytes)
{
    struct uart *u = &c->uart[uart ? 1 : 0];
    u8 *to = data;
    u32 taken;

    for (taken = 0; taken < bytes && u->tx_count; taken++) {
        to[taken] = u->tx_ring[u->tx_head];
        u->tx_head = (u->tx_head + 1) % TX_RING;
        u->tx_count--;
    }
    return taken;
}

u32 chip_uart_divisor(struct chip *c, int uart)
{
    return conf(c, uart, CLKDIV);
}
