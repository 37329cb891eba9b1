/* http/status.h - the status codes that we answer with (RFC 9110 15), and their reason phrases. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

#define HTTP_STATUS_LIST(X)                                                                                            \
    X(OK, 200, "OK")                                                                                                   \
    X(CREATED, 201, "Created")                                                                                         \
    X(ACCEPTED, 202, "Accepted")                                                                                       \
    X(NO_CONTENT, 204, "No Content")                                                                                   \
    X(FOUND, 302, "Found")                                                                                             \
    X(BAD_REQUEST, 400, "Bad Request")                                                                                 \
    X(UNAUTHORIZED, 401, "Unauthorized")                                                                               \
    X(FORBIDDEN, 403, "Forbidden")                                                                                     \
    X(NOT_FOUND, 404, "Not Found")                                                                                     \
    X(METHOD_NOT_ALLOWED, 405, "Method Not Allowed")                                                                   \
    X(REQUEST_TIMEOUT, 408, "Request Timeout")                                                                         \
    X(CONFLICT, 409, "Conflict")                                                                                       \
    X(GONE, 410, "Gone")                                                                                               \
    X(CONTENT_TOO_LARGE, 413, "Content Too Large")                                                                     \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "Unsupported Media Type")                                                           \
    X(UNPROCESSABLE_CONTENT, 422, "Unprocessable Content")                                                             \
    X(TOO_MANY_REQUESTS, 429, "Too Many Requests")                                                                     \
    X(HEADER_FIELDS_TOO_LARGE, 431, "Request Header Fields Too Large")                                                 \
    X(INTERNAL_SERVER_ERROR, 500, "Internal Server Error")                                                             \
    X(NOT_IMPLEMENTED, 501, "Not Implemented")                                                                         \
    X(SERVICE_UNAVAILABLE, 503, "Service Unavailable")                                                                 \
    X(VERSION_NOT_SUPPORTED, 505, "HTTP Version Not Supported")                                                        \
    X(INSUFFICIENT_STORAGE, 507, "Insufficient Storage")

enum http_status {
#define X(name, number, reason) HTTP_##name = (number),
    HTTP_STATUS_LIST(X)
#undef X
};

const char *http_reason(int status); /* "" for others */
#endif
