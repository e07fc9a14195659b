/* A library that does nothing: what loading any library costs. */
void bindshim_bench_empty(void) {}
