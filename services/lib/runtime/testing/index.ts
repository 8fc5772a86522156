/** What tests of other packages start: the real parts, small. */
export { startNatsServer, type TestNats } from "./nats-server.ts";
export { type CertificateFiles, createPki, type TestPki } from "./pki.ts";
export { eventually } from "./eventually.ts";
export { startTestRuntime, type TestRuntimeOptions } from "./test-runtime.ts";
