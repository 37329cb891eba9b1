#include "http/status.h"

const char *http_reason(int status)
{
    switch (status) {
#define X(name, number, reason)                                                                                        \
    case number: return reason;
        HTTP_STATUS_LIST(X)
#undef X
    default: return "";
    }
}
