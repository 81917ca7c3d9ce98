#include "CConsole.h"

const unsigned char apus_console_page[] = {
#embed "console.html"
};
const unsigned long apus_console_page_size = sizeof apus_console_page;
