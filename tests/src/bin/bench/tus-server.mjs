// @tus/server with its file store, as its own documentation starts it; says on which port.
import { Server } from "@tus/server";
import { FileStore } from "@tus/file-store";

const server = new Server({ path: "/files", datastore: new FileStore({ directory: process.argv[2] }) });
const http = server.listen({ host: "127.0.0.1", port: 0 }, () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
