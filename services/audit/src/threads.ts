/**
 * Imported before anything else: the embedded engine runs each query on a thread of libuv's pool, whose size is read when
 * it is first used. With the default of four, four long queries of people would keep the log from being written.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";
