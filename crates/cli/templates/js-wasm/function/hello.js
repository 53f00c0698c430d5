// The component around the answer.

import { answer } from "./answer.mjs";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
