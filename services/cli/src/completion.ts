import type { Command } from "commander";

/** `sallyport completion bash|zsh|fish`: a script made from the commands themselves. */
export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .description("Print a shell's completion script: source <(sallyport completion bash)")
    .argument("<shell>", "bash, zsh or fish")
    .action((shell: string) => {
      const make = SHELLS[shell];
      if (make === undefined)
        program.error(`error: there is no completion for "${shell}": bash, zsh and fish are known`, { exitCode: 2 });
      else process.stdout.write(make(program));
    });
}

const SHELLS: Readonly<Record<string, (program: Command) => string>> = { bash, zsh, fish };

interface Entry {
  readonly name: string;
  readonly description: string;
  readonly words: readonly string[];
}

function entries(program: Command): Entry[] {
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description().replaceAll("'", ""),
    words: [
      ...command.commands.map((sub) => sub.name()),
      ...[command, ...command.commands].flatMap((one) =>
        one.options.map((option) => option.long ?? option.short ?? ""),
      ),
    ].filter((word) => word !== ""),
  }));
}

function globals(program: Command): string[] {
  return program.options.map((option) => option.long ?? "").filter((word) => word !== "");
}

function bash(program: Command): string {
  const all = entries(program);
  const cases = all.map((entry) => `    ${entry.name}) words="${entry.words.join(" ")}" ;;`).join("\n");
  return `_sallyport() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${all.map((entry) => entry.name).join(" ")} " in *" $word "*) command="$word"; break ;; esac
  done
  case "$command" in
${cases}
    *) words="${all.map((entry) => entry.name).join(" ")}" ;;
  esac
  COMPREPLY=($(compgen -W "$words ${globals(program).join(" ")}" -- "$current"))
}
complete -F _sallyport sallyport
`;
}

function zsh(program: Command): string {
  return `#compdef sallyport
autoload -U +X bashcompinit && bashcompinit
${bash(program)}`;
}

function fish(program: Command): string {
  const lines = entries(program).flatMap((entry) => [
    `complete -c sallyport -n __fish_use_subcommand -a ${entry.name} -d '${entry.description}'`,
    ...entry.words.map((word) =>
      word.startsWith("--")
        ? `complete -c sallyport -n '__fish_seen_subcommand_from ${entry.name}' -l ${word.slice(2)}`
        : `complete -c sallyport -n '__fish_seen_subcommand_from ${entry.name}' -a ${word}`,
    ),
  ]);
  return [
    "complete -c sallyport -f",
    ...globals(program).map((word) => `complete -c sallyport -l ${word.slice(2)}`),
    ...lines,
    "",
  ].join("\n");
}
