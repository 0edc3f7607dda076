import eslint from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

import { layersRule } from './scripts/lib/layers.mjs';

const typescriptFiles = ['**/*.ts'];
const scriptFiles = ['**/*.mjs'];

export default defineConfig(
  globalIgnores(['dist/', 'native/', 'src/wire/generated/', '**/*.generated.ts']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: typescriptFiles,
    extends: [
      eslint.configs.recommended,
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
    ],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { pageferry: { rules: { layers: layersRule } } },
    rules: {
      'pageferry/layers': 'error',
      eqeqeq: 'error',
      'no-console': ['error', { allow: ['error'] }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              // Built-in modules are written node:net, so that a package cannot stand in for one.
              regex:
                '^(assert|buffer|child_process|crypto|events|fs|http2?|https|module|net|os|path' +
                '|process|readline|stream|timers|tls|tty|url|util|worker_threads|zlib)(/.*)?$',
              message: 'Write built-in modules with node: in front.',
            },
          ],
        },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'typeLike', format: ['PascalCase'] },
        { selector: 'function', format: ['camelCase'] },
        {
          selector: 'variable',
          format: ['camelCase', 'UPPER_CASE', 'PascalCase'],
          leadingUnderscore: 'allow',
        },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      // Counters and sizes go into messages all the time; what this rule is for, objects and
      // undefined in a template, stays forbidden.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Chains such as assert.rejects(...) in mocha's callbacks, and stubs that do nothing.
      '@typescript-eslint/no-empty-function': 'off',
      // A test says with `!` that what it has just set up is there.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // These print for a living.
    files: ['bench/**/*.ts', 'src/cli/**/*.ts', 'test/support/reporter.ts', 'examples/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: scriptFiles,
    extends: [eslint.configs.recommended],
    languageOptions: {
      globals: { console: 'readonly', process: 'readonly', URL: 'readonly' },
    },
    rules: { eqeqeq: 'error' },
  },
);
