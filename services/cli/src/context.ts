import type { Metadata } from "@grpc/grpc-js";
import { bearer, connectApi, type Api } from "./api.ts";
import { Home, homeFolder, type Deployment, type Profile } from "./home.ts";
import { createPrinter, type Format, type Printer } from "./output.ts";

/** What the options before the command say. */
export interface GlobalOptions {
  readonly format: Format;
  readonly profile?: string;
}

/** What a command works with. Everything is looked up when it is first needed: `login` has no profile yet. */
export class Context {
  readonly home: Home;
  readonly print: Printer;
  readonly profileName: string | undefined;
  #api: Api | undefined;
  #deployment: Deployment | undefined;
  #profile: Profile | undefined;

  constructor(options: GlobalOptions) {
    this.home = new Home(homeFolder());
    this.print = createPrinter(options.format, process.stdout, process.stderr);
    this.profileName = options.profile ?? process.env["SALLYPORT_PROFILE"];
  }

  get deployment(): Deployment {
    return (this.#deployment ??= this.home.deployment());
  }

  get profile(): Profile {
    return (this.#profile ??= this.home.profile(this.profileName));
  }

  get api(): Api {
    return (this.#api ??= connectApi(this.deployment));
  }

  /** The caller's token as call metadata. */
  get as(): Metadata {
    return bearer(this.profile.token);
  }

  close(): void {
    this.#api?.close();
  }
}
