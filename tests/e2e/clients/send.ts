// A mail sent by the types that openapi-typescript made of the contract: send.js URL KEY ADDRESS. It has to compile as it stands.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[]; exitCode?: number };

type Accepted = components["schemas"]["MessageAccepted"];

const [, , baseUrl, key, address] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

async function send(): Promise<Accepted> {
  const { data, error } = await client.POST("/v1/messages", {
    body: { from: address, to: [{ email: address, name: "Ana" }], subject: "By TypeScript", text: "Hello", tags: [{ name: "kind", value: "test" }] },
  });
  if (!data) throw new Error(JSON.stringify(error));
  return data;
}

async function faulty(): Promise<string[]> {
  const { error, response } = await client.POST("/v1/messages", { body: { from: address, to: [], text: "x" } });
  if (response.status !== 422 || !error) throw new Error(`${response.status}`);
  return (error.errors ?? []).map((e) => e.pointer);
}

// @ts-expect-error a field that the contract does not know
export const wrong: components["schemas"]["MessageSend"] = { from: "a@b.test", nonsense: 1 };

const sent = await send();
const { data: message } = await client.GET("/v1/messages/{id}", { params: { path: { id: sent.id } } });
const { data: listed } = await client.GET("/v1/messages", { params: { query: { limit: 1 } } });
console.log(JSON.stringify({ status: message?.status, subject: message?.subject, tag: message?.tags[0]?.name, listed: listed?.data.length, faults: await faulty() }));
