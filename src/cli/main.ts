#!/usr/bin/env node
/** What: the executable. Everything else is loaded by the command that needs it. */
import { main } from './program.js';

await main();
