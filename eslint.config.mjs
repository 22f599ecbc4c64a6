import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** Imports point one way: tools → trainer, compiler → runtime-edge → core (ARCHITECTURE.md, "Layers"). */
const layers = {
  'layer:core': ['layer:core'],
  'layer:runtime': ['layer:runtime', 'layer:core'],
  'layer:trainer': ['layer:trainer', 'layer:runtime', 'layer:core'],
  'layer:compiler': ['layer:compiler', 'layer:runtime', 'layer:core'],
  'layer:tool': ['layer:tool', 'layer:trainer', 'layer:compiler', 'layer:runtime', 'layer:core'],
};
const depConstraints = Object.entries(layers).map(([sourceTag, onlyDependOnLibsWithTags]) => ({
  sourceTag,
  onlyDependOnLibsWithTags,
  ...(sourceTag === 'layer:core'
    ? { bannedExternalImports: ['*'] }
    : sourceTag === 'layer:trainer'
      ? {}
      : { bannedExternalImports: ['@tensorflow/*'] }),
}));

export default [
  { ignores: ['**/build/**', '**/node_modules/**', '**/runs/**', '**/coverage/**'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      eqeqeq: 'error',
      '@nx/enforce-module-boundaries': ['error', { enforceBuildableLibDependency: false, allow: [], depConstraints }],
    },
  },
  {
    files: ['**/*.test.ts'],
    rules: {
      '@nx/enforce-module-boundaries': 'off',
      'no-restricted-syntax': [
        'error',
        ...[
          'CallExpression[callee.object.name="fc"][callee.property.name="assert"][arguments.length=1]',
          'CallExpression[callee.object.name="fc"][callee.property.name="assert"] > ObjectExpression:not(:has(> Property[key.name="seed"]))',
        ].map((selector) => ({ selector, message: 'A property has a seed, so that no test fails by chance.' })),
      ],
    },
  },
];
