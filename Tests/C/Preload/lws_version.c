/* Makes libwebsockets say that it has another version. */

const char *lws_get_library_version(void) { return "4.0.22-test"; }
