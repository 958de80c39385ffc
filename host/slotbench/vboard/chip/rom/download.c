/* Download mode: frames of SLIP on UART0, each a request of the host, each with a response.
 *
 * Request: 0, operation, size (16 bits), checksum (32 bits), data. Response: 1, operation, size, value (32 bits), and two bytes:
 * 0 and 0, or 1 and an error. The public description is esptool's.
 */
#include "special.h"

enum { FRAME_END = 0xC0, ESCAPE = 0xDB, ESCAPED_END = 0xDC, ESCAPED_ESCAPE = 0xDD };
enum {
    FLASH_BEGIN = 2, FLASH_DATA, FLASH_END, MEMORY_BEGIN, MEMORY_END, MEMORY_DATA, SYNC, WRITE_REGISTER, READ_REGISTER
};
enum { INVALID = 5, FAILED = 6, BAD_CHECKSUM = 7, FLASH_FAILED = 8 };
enum { HEADER_BYTES = 8, ARGUMENT_BYTES = 36, BLOCK_HEADER_BYTES = 16, BUFFER_BYTES = 2048, CHECKSUM_SEED = 0xEF };
enum { SYNC_RESPONSES = 8, SYNC_VALUE = 0x20120707 };

/* A request as far as it has come: block data goes to its place at once. */
static struct {
    u8 header[HEADER_BYTES];
    u32 arguments[ARGUMENT_BYTES / 4];
    u32 at, data_bytes, word, checksum;
    u8 escaped, begun;
} request;

static u32 memory_at, flash_at, next_block, buffer[BUFFER_BYTES / 4] __attribute__((section(".bss.high")));

static u8 next_character(void)
{
    u8 character;

    for (;;) {
        ets_intr_lock();
        if (uart_rx_one_char(&character) == OK)
            break;
        __asm__ volatile("waiti 0");
    }
    ets_intr_unlock();
    return character;
}

static void put_escaped(u32 value, u32 bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) {
        u8 character = (u8)value;

        if (character == FRAME_END || character == ESCAPE) {
            uart_tx_one_char(ESCAPE);
            character = character == ESCAPE ? ESCAPED_ESCAPE : ESCAPED_END;
        }
        uart_tx_one_char(character);
    }
}

static void send_response(u8 operation, u32 value, u8 error)
{
    uart_tx_one_char(FRAME_END);
    put_escaped(1 | (u32)operation << 8 | 2 << 16, 4);
    put_escaped(value, 4);
    put_escaped(error ? 1 | (u32)error << 8 : 0, 2);
    uart_tx_one_char(FRAME_END);
}

/* Where the bytes behind a block's header go, a word at a time: memory takes nothing smaller everywhere. */
static void store_word(u32 offset, u32 word)
{
    if (request.header[1] == MEMORY_DATA)
        REG(memory_at + offset) = word;
    else if (offset < BUFFER_BYTES)
        buffer[offset / 4] = word;
}

static void take_byte(u8 character)
{
    u32 at = request.at++;
    u8 block = request.header[1] == MEMORY_DATA || request.header[1] == FLASH_DATA;

    if (at < HEADER_BYTES) {
        request.header[at] = character;
        return;
    }
    at -= HEADER_BYTES;
    if (at < (block ? BLOCK_HEADER_BYTES : ARGUMENT_BYTES)) {
        ((u8 *)request.arguments)[at] = character;
        return;
    }
    if (!block)
        return;
    at -= BLOCK_HEADER_BYTES;
    request.checksum ^= character;
    request.word |= (u32)character << 8 * (at & 3);
    request.data_bytes = at + 1;
    if ((at & 3) == 3) {
        store_word(at & ~3u, request.word);
        request.word = 0;
    }
}

/* Read one frame; whatever comes before its first byte is passed over. */
static void read_frame(void)
{
    memset(&request, 0, sizeof request);
    request.checksum = CHECKSUM_SEED;
    for (;;) {
        u8 character = next_character();

        if (character == FRAME_END) {
            if (request.at >= HEADER_BYTES)
                break;
            request.begun = 1;
            request.at = 0;
        } else if (request.begun && character == ESCAPE) {
            request.escaped = 1;
        } else if (request.begun) {
            if (request.escaped)
                character = character == ESCAPED_END ? FRAME_END : ESCAPE;
            request.escaped = 0;
            take_byte(character);
        }
    }
    if (request.data_bytes & 3)
        store_word(request.data_bytes & ~3u, request.word);
}

static u8 block_error(void)
{
    if (request.data_bytes != request.arguments[0] || request.arguments[1] != next_block)
        return INVALID;
    if (request.checksum != request.header[4])
        return BAD_CHECKSUM;
    return 0;
}

static u8 memory_data(void)
{
    u8 error = block_error();

    if (error == 0) {
        memory_at += request.data_bytes;
        next_block++;
    }
    return error;
}

static u8 flash_data(void)
{
    u8 error = request.data_bytes > BUFFER_BYTES ? INVALID : block_error();

    if (error == 0 && SPIWrite(flash_at, buffer, request.data_bytes) != OK)
        error = FLASH_FAILED;
    if (error == 0) {
        flash_at += request.data_bytes;
        next_block++;
    }
    return error;
}

/* Erase, as the chip's ROM does it: esptool asks for fewer bytes than it wants. */
static u8 flash_begin(void)
{
    flash_at = request.arguments[3];
    next_block = 0;
    return SPIEraseArea(flash_at, request.arguments[0]) == OK ? 0 : FAILED;
}

static void write_register(void)
{
    u32 mask = request.arguments[2];
    reg *at = (reg *)request.arguments[0];

    *at = mask == ~0u ? request.arguments[1] : (*at & ~mask) | (request.arguments[1] & mask);
    ets_delay_us(request.arguments[3]);
}

static void wait_until_sent(void)
{
    while (UART_TX_COUNT(0) != 0)
        ;
    ets_delay_us(10000);
}

/* Serve one request; 1 when the host wants a program to run: the one it loaded, or else the one in flash. */
static u32 serve_request(void)
{
    u8 operation = request.header[1], error = 0;
    u32 value = 0;

    switch (operation) {
    case SYNC:
        for (u32 i = 1; i < SYNC_RESPONSES; i++)
            send_response(operation, SYNC_VALUE, 0);
        value = SYNC_VALUE;
        break;
    case READ_REGISTER:
        value = REG(request.arguments[0]);
        break;
    case WRITE_REGISTER:
        write_register();
        break;
    case MEMORY_BEGIN:
        memory_at = request.arguments[3];
        next_block = 0;
        break;
    case MEMORY_DATA:
        error = memory_data();
        break;
    case MEMORY_END:
        send_response(operation, 0, 0);
        if (request.arguments[0] != 0)
            return 0;
        wait_until_sent();
        ets_set_user_start((void (*)(void))request.arguments[1]);
        return 1;
    case FLASH_BEGIN:
        error = flash_begin();
        break;
    case FLASH_DATA:
        error = flash_data();
        break;
    case FLASH_END:
        send_response(operation, 0, 0);
        wait_until_sent();
        if (request.arguments[0] == 0)
            software_reset();
        return 1;
    default:
        error = INVALID;
    }
    send_response(operation, value, error);
    return 0;
}

/* The host's speed from its first pulses; without pulses to count, or near the speed that is set, that one stays. What came at a
 * wrong speed is noise before the first good frame. */
static void measure_speed(void)
{
    u32 divisor, now = UART(0, UART_CLKDIV) & 0xFFFFF;

    uart_baudrate_detect(0, 0);
    ets_isr_unmask(1 << UART_INTERRUPT);
    ets_intr_lock();
    while (UartDev.receive.read == UartDev.receive.write) {
        __asm__ volatile("waiti 0");
        ets_intr_lock();
    }
    ets_intr_unlock();
    divisor = uart_baudrate_detect(0, 0);
    for (u32 i = 0; i < 50 && divisor == 0; i++) {
        ets_delay_us(100);
        divisor = uart_baudrate_detect(0, 0);
    }
    if (divisor != 0 && (divisor > now + now / 32 || divisor < now - now / 32))
        UART(0, UART_CLKDIV) = divisor;
}

void download_mode(void)
{
    measure_speed();
    do
        read_frame();
    while (!serve_request());
    ets_isr_mask(1 << UART_INTERRUPT);
}

/* The documented name of the loop. */
void UartDwnLdProc(void)
{
    download_mode();
}
