/* Markers for an instruction counter: no-operations on hardware. */
#pragma once
#if defined(__aarch64__)
#define EDGEC_MARK_START() __asm__ volatile("hint #0x70" ::: "memory")
#define EDGEC_MARK_STOP() __asm__ volatile("hint #0x71" ::: "memory")
#define EDGEC_MARK_REPORT() __asm__ volatile("hint #0x72" ::: "memory")
#else
#define EDGEC_MARK_START() (void)0
#define EDGEC_MARK_STOP() (void)0
#define EDGEC_MARK_REPORT() (void)0
#endif
