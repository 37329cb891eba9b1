# Turns the contract (openapi/postrider.yaml) into the C tables that route and check requests, and into the
# JSON that /openapi.json serves.
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/openapi_tables.h ${CMAKE_BINARY_DIR}/openapi_tables.inc ${CMAKE_BINARY_DIR}/openapi.json
  COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/openapi/generate.py ${CMAKE_SOURCE_DIR}/openapi/postrider.yaml
          ${CMAKE_BINARY_DIR}
  DEPENDS ${CMAKE_SOURCE_DIR}/openapi/generate.py ${CMAKE_SOURCE_DIR}/openapi/postrider.yaml)
add_custom_target(openapi_tables DEPENDS ${CMAKE_BINARY_DIR}/openapi_tables.h ${CMAKE_BINARY_DIR}/openapi_tables.inc)
