#pragma once

/// The console page: one HTML document in UTF-8, without a terminating zero.
extern const unsigned char apus_console_page[];

/// Bytes of `apus_console_page`.
extern const unsigned long apus_console_page_size;

/// The first byte; an array of unknown size cannot be named in Swift.
static inline const unsigned char *apus_console_page_start(void) { return apus_console_page; }
