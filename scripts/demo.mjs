// `npm run demo`: real MNIST in, learned groups, three deployable files and one report out. It may be run again.
import { demoMain } from 'dgconv';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
process.exit(await demoMain({ run: 'runs/demo', build: 'build/demo' }));
