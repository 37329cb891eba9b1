/* The contract as data: see openapi/generate.py. */
#include "api/route.h"

#include "openapi_tables.inc"
