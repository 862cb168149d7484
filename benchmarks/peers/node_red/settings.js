// Node-RED as the benchmark runs it: without an editor, and with PostgreSQL's client for function
// nodes, as "Writing Functions" of its user guide describes it.
module.exports = {
    flowFile: "flows.json",
    credentialSecret: false,
    disableEditor: true,
    httpAdminRoot: false,
    httpNodeRoot: false,
    uiHost: "127.0.0.1",
    telemetry: { enabled: false },
    functionGlobalContext: { pg: require("pg") },
    logging: { console: { level: "warn" } },
};
