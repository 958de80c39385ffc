/* The frame of an exception, 256 bytes under the stack pointer of what it stopped: offsets as the SDK's own vector has them. */
#ifndef TWOSLOT_ROM_FRAME_H
#define TWOSLOT_ROM_FRAME_H

#define FRAME_BYTES 256
#define FRAME_PC 0
#define FRAME_PS 4
#define FRAME_SAR 8
#define FRAME_A0 16
#define FRAME_A2 20
#define FRAME_A3 24
#define FRAME_A4 28
#define FRAME_A(number) (FRAME_A2 + 4 * ((number) - 2))
#define FRAME_CAUSE 76

#define EXCEPTION_TABLE 0x3FFFC000
#define C_HANDLER_TABLE 0x3FFFC100

#define PS_USER 0x20
#define PS_EXCM 0x10

#endif
