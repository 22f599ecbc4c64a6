export { demoMain, type DemoPlaces, runDemo } from './demo/demo.js';
export { createProgram } from './program.js';
