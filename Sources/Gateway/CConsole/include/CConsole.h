#ifndef APUS_CONSOLE_H
#define APUS_CONSOLE_H

/// The console page: one HTML document in UTF-8, without a terminating zero.
extern const unsigned char apus_console_page[];

/// Bytes of `apus_console_page`.
extern const unsigned long apus_console_page_size;

/// The page's first byte, for Swift: it cannot see an array whose size the header does not tell.
static inline const unsigned char *apus_console_page_bytes(void) { return apus_console_page; }

#endif
