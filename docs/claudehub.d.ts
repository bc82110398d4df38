// Made by `claudehub schema --typescript`. Do not edit.
// Messages are told apart by `type`, and the payloads of updates by `update_type`.

/** Ask the CLI to stop its turn. */
export interface AgentInterrupt {
  project_id: string;
  /** Default: the running one. */
  execution_id?: string | null;
}

/** Ask the CLI to stop its turn. */
export interface AgentInterruptRequest {
  type: "agent_interrupt";
  /** The reply repeats it. */
  id?: string | null;
  payload: AgentInterrupt;
}

/** End an execution, or take it out of the queue. */
export interface AgentKill {
  project_id: string;
  /** Default: the running one. */
  execution_id?: string | null;
}

/** End an execution, or take it out of the queue. */
export interface AgentKillRequest {
  type: "agent_kill";
  /** The reply repeats it. */
  id?: string | null;
  payload: AgentKill;
}

/** Begin a new conversation with the next prompt. */
export interface AgentNewSession {
  project_id: string;
}

/** Begin a new conversation with the next prompt. */
export interface AgentNewSessionRequest {
  type: "agent_new_session";
  /** The reply repeats it. */
  id?: string | null;
  payload: AgentNewSession;
}

/** How to authenticate: `challenge` is part of the text that is to be signed for `namespace`; `version` is that of the text. */
export interface AuthOffer {
  challenge: string;
  namespace: string;
  method: "ssh";
  version: number;
}

/** Say who the client is, by a signature over the challenge of the greeting and `host`. */
export interface Authenticate {
  /** In OpenSSH's one-line form; a certificate may be, too. */
  public_key: string;
  /** Armored, as `ssh-keygen -Y sign` writes it. */
  signature: string;
  /** What the client dialled: name:port or [v6]:port, in lower case. */
  host: string;
}

/** Say who the client is, by a signature over the challenge of the greeting and `host`. */
export interface AuthenticateRequest {
  type: "authenticate";
  /** The reply repeats it. */
  id?: string | null;
  payload: Authenticate;
}

/** Who the client is from now on. */
export interface AuthenticateResult {
  /** The comment in the server's file, or a fingerprint. */
  user: string;
}

/** An update of the type `claude_delta`. It is not in the log. */
export interface ClaudeDeltaUpdate {
  timestamp: string;
  project_id: string;
  update_type: "claude_delta";
  /** A line of the CLI's output, unchanged. */
  data: { [name: string]: unknown };
  /** Absent on lines that come after the end of their execution. */
  execution_id?: string;
}

/** A line of standard output that could not be passed on as JSON. */
export interface ClaudeText {
  text: string;
  truncated?: boolean | null;
  /** Of the whole line, if truncated. */
  size_bytes?: number | null;
}

/** An update of the type `claude_text`. It is in the log. */
export interface ClaudeTextUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "claude_text";
  data: ClaudeText;
  /** Absent on lines that come after the end of their execution. */
  execution_id?: string;
}

/** An update of the type `claude`. It is in the log. */
export interface ClaudeUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "claude";
  /** A line of the CLI's output, unchanged. */
  data: { [name: string]: unknown };
  /** Absent on lines that come after the end of their execution. */
  execution_id?: string;
}

/** A part of a prompt. */
export type ContentBlock = TextBlock | ImageBlock | DocumentBlock;

/** A document in a prompt. */
export interface DocumentBlock {
  type: "document";
  source: DocumentSource;
}

/** The bytes of a document. */
export interface DocumentSource {
  type: "base64";
  media_type: "application/pdf" | "text/plain";
  data: string;
}

/** Every `code` that an `error` message may carry. */
export type ErrorCode = "invalid_json" | "invalid_message" | "unknown_type" | "unauthenticated" | "forbidden" | "project_not_found" | "rate_limited" | "shutting_down" | "storage_failed" | "internal" | "invalid_path" | "path_not_allowed" | "project_nesting" | "project_exists" | "too_many_projects" | "history_gone" | "queue_full" | "invalid_options" | "nothing_running" | "permission_not_found" | "already_answered";

/** The facts that a client needs to go on after an error; which there are depends on the code. */
export interface ErrorDetails {
  /** The path of the bad field: `payload.after_seq`. */
  field?: string;
  /** `unknown_type`: the type that is not known. */
  type?: string;
  /** The missing project, or the one in the way. */
  project_id?: string;
  /** `path_not_allowed`: where projects may lie. */
  roots?: string[];
  /** `rate_limited` */
  retry_after_seconds?: number;
  /** `history_gone`: the log that there is now. */
  log_id?: string;
  /** `history_gone` */
  first_seq?: number;
  /** `history_gone` */
  last_seq?: number;
  /** `already_answered`: who has answered. */
  by?: string;
  /** `already_answered` */
  decision?: "allow" | "deny";
}

/** Why a request failed. */
export interface ErrorFacts {
  code: ErrorCode;
  /** For people: what was wrong and what to do. */
  message: string;
  details: ErrorDetails;
}

/** The reply to a request that failed. */
export interface ErrorMessage {
  type: "error";
  /** That of the request, if it had one. */
  id?: string;
  payload: ErrorFacts;
}

/** Run a prompt, at once or when its turn comes. It has `prompt` or `content`, never both. */
export interface Execute {
  project_id: string;
  prompt?: string | null;
  content?: ContentBlock[] | null;
  options?: Options | null;
  /** A prompt with a key runs once in a project, however often it is sent. */
  key?: string | null;
  /** W3C Trace Context: the client's span. A malformed one is ignored. */
  traceparent?: string | null;
}

/** Run a prompt, at once or when its turn comes. It has `prompt` or `content`, never both. */
export interface ExecuteRequest {
  type: "execute";
  /** The reply repeats it. */
  id?: string | null;
  payload: Execute;
}

/** The prompt is durable. */
export interface ExecuteResult {
  execution_id: string;
  state: "started" | "queued" | "finished";
  /** 0 for a started execution, 1 for the next. */
  position: number;
}

/** The one end of an execution: everything that it has started is gone. */
export interface ExecutionFinished {
  execution_id: string;
  outcome: Outcome;
  /** The CLI's text, or a sentence that says what happened. */
  result?: string | null;
  session_id?: string | null;
  /** 128 + n for signal n. */
  exit_code?: number | null;
  /** The last 4 KiB. */
  stderr: string;
  duration_ms: number;
  /** Of this execution alone. */
  cost_usd?: number | null;
}

/** An update of the type `execution_finished`. It is in the log. */
export interface ExecutionFinishedUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "execution_finished";
  data: ExecutionFinished;
}

/** The prompt must wait. */
export interface ExecutionQueued {
  execution_id: string;
  /** 1 for the next. */
  position: number;
}

/** An update of the type `execution_queued`. It is in the log. */
export interface ExecutionQueuedUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "execution_queued";
  data: ExecutionQueued;
}

/** Which execution the request was about. Its end comes as `execution_finished`. */
export interface ExecutionResult {
  execution_id: string;
}

/** The CLI has the prompt, or has begun a turn by itself (`background`). */
export interface ExecutionStarted {
  execution_id: string;
  /** Of the conversation that goes on; null: a new one. */
  session_id?: string | null;
  origin: "prompt" | "background";
}

/** An update of the type `execution_started`. It is in the log. */
export interface ExecutionStartedUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "execution_started";
  data: ExecutionStarted;
}

/** Files of the project that have changed lately. */
export interface FilesChanged {
  /** Relative to the project. */
  paths: string[];
  /** There are more. */
  truncated: boolean;
}

/** An update of the type `files_changed`. It is not in the log. */
export interface FilesChangedUpdate {
  timestamp: string;
  project_id: string;
  update_type: "files_changed";
  data: FilesChanged;
}

/** Stored records that cannot be read. After it, the client's position is its `last_seq`. */
export interface Gap {
  first_seq: number;
  last_seq: number;
}

/** An update of the type `gap`. It is not in the log. */
export interface GapUpdate {
  timestamp: string;
  project_id: string;
  update_type: "gap";
  data: Gap;
}

/** Read a page of the log. All bounds that are given hold together. */
export interface GetMessages {
  project_id: string;
  /** Exclusive; read forwards from there. */
  after_seq?: number | null;
  /** Exclusive. */
  before_seq?: number | null;
  /** Inclusive; read forwards. */
  since?: string | null;
  /** Inclusive. */
  until?: string | null;
  limit?: number | null;
}

/** Read a page of the log. All bounds that are given hold together. */
export interface GetMessagesRequest {
  type: "get_messages";
  /** The reply repeats it. */
  id?: string | null;
  payload: GetMessages;
}

/** A page of the log. */
export interface GetMessagesResult {
  /** 1 for an empty log. */
  first_seq: number;
  /** 0 for an empty log. */
  last_seq: number;
  /** Names the log: a position is (`log_id`, `seq`). */
  log_id: string;
  /** There is more in that direction. */
  more: boolean;
  /** The oldest first. */
  messages: Update[];
}

/** The options of a prompt, as sent. */
export interface GivenOptions {
  model?: string | null;
  fallback_model?: string | null;
  permission_mode?: "acceptEdits" | "auto" | "bypassPermissions" | "default" | "dontAsk" | "manual" | "plan" | null;
  allowed_tools?: string[] | null;
  disallowed_tools?: string[] | null;
  append_system_prompt?: string | null;
  add_dirs?: string[] | null;
  max_turns?: number | null;
  timeout_seconds?: number | null;
}

/** How the hub is; `degraded` if it has problems. */
export interface Health {
  status: "ok" | "degraded";
  problems: string[];
  version: string;
  uptime_seconds: number;
  connections: number;
  projects: number;
  executing: number;
  /** The version of the CLI. */
  claude?: string | null;
  warm_sessions: WarmSession[];
}

/** Ask how the hub is. */
export interface HealthCheck {
}

/** Ask how the hub is. */
export interface HealthCheckRequest {
  type: "health_check";
  /** The reply repeats it. */
  id?: string | null;
  payload?: HealthCheck | null;
}

/** An image in a prompt. */
export interface ImageBlock {
  type: "image";
  source: ImageSource;
}

/** The bytes of an image. */
export interface ImageSource {
  type: "base64";
  media_type: "image/gif" | "image/jpeg" | "image/png" | "image/webp";
  data: string;
}

/** What the hub may send. */
export type Message = WelcomeMessage | ResultMessage | ErrorMessage | UpdateMessage;

/** What holds for one prompt only. Any other field is refused. */
export interface Options {
  model?: string | null;
  fallback_model?: string | null;
  permission_mode?: "acceptEdits" | "auto" | "bypassPermissions" | "default" | "dontAsk" | "manual" | "plan" | null;
  allowed_tools?: string[] | null;
  disallowed_tools?: string[] | null;
  append_system_prompt?: string | null;
  add_dirs?: string[] | null;
  max_turns?: number | null;
  timeout_seconds?: number | null;
}

/** How an execution ended. */
export type Outcome = "success" | "error" | "timeout" | "interrupted" | "killed" | "cancelled" | "lost";

/** A permission that waits for an answer; `truncated`: without what is long. */
export interface PendingPermission {
  /** The hub's own. */
  permission_id: string;
  execution_id?: string | null;
  tool: string;
  input?: { [name: string]: unknown };
  description?: string | null;
  /** What `remember` would remember. */
  suggestions?: { [name: string]: unknown }[];
  blocked_path?: string | null;
  tool_use_id?: string | null;
  agent_id?: string | null;
  display_name?: string | null;
  reason?: string | null;
  truncated?: boolean;
}

/** Answer a `permission_request`. The first answer wins. */
export interface PermissionAnswer {
  project_id: string;
  permission_id: string;
  decision: "allow" | "deny";
  /** For `deny`: tells the agent why. */
  message?: string | null;
  /** For `allow`: replaces the tool's input. */
  updated_input?: { [name: string]: unknown } | null;
  /** For `allow`: the suggestions hold for the rest of the session. */
  remember?: boolean | null;
}

/** Answer a `permission_request`. The first answer wins. */
export interface PermissionAnswerRequest {
  type: "permission_answer";
  /** The reply repeats it. */
  id?: string | null;
  payload: PermissionAnswer;
}

/** The answer counts. */
export interface PermissionAnswerResult {
  permission_id: string;
}

/** The CLI asks whether a tool may run. `suggestions` and `input` come from the CLI unchanged; `agent_id` is its own for the subagent that asks. The last four are null if it does not say them. */
export interface PermissionRequest {
  /** The hub's own. */
  permission_id: string;
  execution_id?: string | null;
  tool: string;
  input: { [name: string]: unknown };
  description?: string | null;
  /** What `remember` would remember. */
  suggestions: { [name: string]: unknown }[];
  blocked_path?: string | null;
  tool_use_id?: string | null;
  agent_id?: string | null;
  display_name?: string | null;
  reason?: string | null;
}

/** An update of the type `permission_request`. It is in the log. */
export interface PermissionRequestUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "permission_request";
  data: PermissionRequest;
  /** Absent on lines that come after the end of their execution. */
  execution_id?: string;
}

/** `by` is the user or the client, or `timeout`, `withdrawn`, `execution_finished`. */
export interface PermissionResolved {
  permission_id: string;
  decision: "allow" | "deny";
  by: string;
}

/** An update of the type `permission_resolved`. It is in the log. */
export interface PermissionResolvedUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "permission_resolved";
  data: PermissionResolved;
  /** Absent on lines that come after the end of their execution. */
  execution_id?: string;
}

/** Ask for an answer; the result is the payload. */
export interface PingRequest {
  type: "ping";
  /** The reply repeats it. */
  id?: string | null;
  payload?: unknown;
}

/** For who watches: what the project is now. */
export interface ProjectChanged {
  project: ProjectInfo;
}

/** An update of the type `project_changed`. It is not in the log. */
export interface ProjectChangedUpdate {
  timestamp: string;
  project_id: string;
  update_type: "project_changed";
  data: ProjectChanged;
}

/** Make a project of an existing folder. */
export interface ProjectCreate {
  /** The folder: an absolute path on the hub's machine. */
  path: string;
  /** By default the hub makes it from the folder's name. */
  project_id?: string | null;
  /** For people. By default the folder's name. */
  name?: string | null;
  /** False: the first prompt begins a new conversation. */
  continue?: boolean | null;
  /** The folder's own settings take effect (see project_trust). */
  trusted?: boolean | null;
}

/** Make a project of an existing folder. */
export interface ProjectCreateRequest {
  type: "project_create";
  /** The reply repeats it. */
  id?: string | null;
  payload: ProjectCreate;
}

/** Delete a project; the hub does not touch its folder. */
export interface ProjectDelete {
  project_id: string;
  /** Keep the log for a new project with the same id and path. */
  keep_history?: boolean | null;
}

/** Delete a project; the hub does not touch its folder. */
export interface ProjectDeleteRequest {
  type: "project_delete";
  /** The reply repeats it. */
  id?: string | null;
  payload: ProjectDelete;
}

/** The project is gone; this is its last update. */
export interface ProjectDeleted {
  by?: string | null;
}

/** An update of the type `project_deleted`. It is not in the log. */
export interface ProjectDeletedUpdate {
  timestamp: string;
  project_id: string;
  update_type: "project_deleted";
  data: ProjectDeleted;
}

/** Which project the request was about. */
export interface ProjectIdResult {
  project_id: string;
}

/** The `project` object of replies. */
export interface ProjectInfo {
  project_id: string;
  name: string;
  path: string;
  status: ProjectStatus;
  /** Claude's. */
  session_id?: string | null;
  /** The running one. */
  execution_id?: string | null;
  queue: QueuedPrompt[];
  pending_permissions: PendingPermission[];
  subscribers: number;
  /** 1 for an empty log. */
  first_seq: number;
  /** 0 for an empty log. */
  last_seq: number;
  created_at: string;
  last_active: string;
  trusted: boolean;
  /** What is not taken up because the project is not trusted. */
  untrusted_files: string[];
}

/** Get the updates of a project, from a position or from now on. At most one of `after_seq`, `since` and `last` may be given. */
export interface ProjectJoin {
  project_id: string;
  /** The last `seq` that the client has. */
  after_seq?: number | null;
  since?: string | null;
  /** Begin so many updates back. */
  last?: number | null;
  /** The log that `after_seq` is of. */
  log_id?: string | null;
  /** False: leave out most of what is not logged. */
  ephemeral?: boolean | null;
}

/** Get the updates of a project, from a position or from now on. At most one of `after_seq`, `since` and `last` may be given. */
export interface ProjectJoinRequest {
  type: "project_join";
  /** The reply repeats it. */
  id?: string | null;
  payload: ProjectJoin;
}

/** The project, and its log, at the moment of the join. The updates follow. */
export interface ProjectJoinResult {
  /** 1 for an empty log. */
  first_seq: number;
  /** 0 for an empty log. */
  last_seq: number;
  /** Names the log: a position is (`log_id`, `seq`). */
  log_id: string;
  project: ProjectInfo;
}

/** Get no more updates of a project. */
export interface ProjectLeave {
  project_id: string;
}

/** Get no more updates of a project. */
export interface ProjectLeaveRequest {
  type: "project_leave";
  /** The reply repeats it. */
  id?: string | null;
  payload: ProjectLeave;
}

/** List the projects that the key may see. */
export interface ProjectList {
}

/** List the projects that the key may see. */
export interface ProjectListRequest {
  type: "project_list";
  /** The reply repeats it. */
  id?: string | null;
  payload?: ProjectList | null;
}

/** The projects that the key may see. */
export interface ProjectListResult {
  projects: ProjectInfo[];
  /** Projects are missing: the message would be too long. */
  truncated?: boolean;
}

/** The project as it is after the request. */
export interface ProjectResult {
  project: ProjectInfo;
}

/** `error` is for a project that cannot work; after a failed execution a project is `idle`. */
export type ProjectStatus = "idle" | "executing" | "error";

/** Let the settings, hooks, helpers and MCP servers of a folder take effect, or no longer. */
export interface ProjectTrust {
  project_id: string;
  trusted: boolean;
}

/** Let the settings, hooks, helpers and MCP servers of a folder take effect, or no longer. */
export interface ProjectTrustRequest {
  type: "project_trust";
  /** The reply repeats it. */
  id?: string | null;
  payload: ProjectTrust;
}

/** A client's prompt, which will run once. It has `prompt` or `content`, as it was sent. */
export interface Prompt {
  execution_id: string;
  prompt?: string | null;
  content?: ContentBlock[];
  options: GivenOptions;
  key?: string | null;
  client_id: string;
  /** Null if the hub needs no key. */
  user?: string | null;
}

/** An update of the type `prompt`. It is in the log. */
export interface PromptUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "prompt";
  data: Prompt;
}

/** A prompt that waits for its turn. */
export interface QueuedPrompt {
  execution_id: string;
  /** The first 200 characters of its text. */
  prompt: string;
  client_id: string;
}

/** What a client may send. */
export type Request = PingRequest | AuthenticateRequest | ProjectCreateRequest | ProjectTrustRequest | ProjectDeleteRequest | ProjectListRequest | WatchRequest | UnwatchRequest | ProjectJoinRequest | ProjectLeaveRequest | ExecuteRequest | AgentInterruptRequest | AgentKillRequest | AgentNewSessionRequest | PermissionAnswerRequest | GetMessagesRequest | HealthCheckRequest;

/** The reply to a request that worked. `Results` has the payloads. */
export interface ResultMessage {
  type: "result";
  /** That of the request, if it had one. */
  id?: string;
  payload: unknown;
}

/** No message: the payload of the `result` to each request, by the request's `type`. */
export interface Results {
  authenticate: AuthenticateResult;
  project_create: ProjectResult;
  project_trust: ProjectResult;
  project_delete: ProjectIdResult;
  project_list: ProjectListResult;
  watch: ProjectListResult;
  unwatch: UnwatchResult;
  project_join: ProjectJoinResult;
  project_leave: ProjectIdResult;
  execute: ExecuteResult;
  agent_interrupt: ExecutionResult;
  agent_kill: ExecutionResult;
  agent_new_session: ProjectResult;
  permission_answer: PermissionAnswerResult;
  get_messages: GetMessagesResult;
  health_check: Health;
  ping: unknown;
}

/** The next prompt begins a new conversation. */
export interface SessionReset {
  old_session_id?: string | null;
  reason: "requested" | "cleared" | "forgotten";
}

/** An update of the type `session_reset`. It is in the log. */
export interface SessionResetUpdate {
  /** Its number in the log. */
  seq: number;
  timestamp: string;
  project_id: string;
  update_type: "session_reset";
  data: SessionReset;
}

/** The project has a new status. */
export interface StatusChanged {
  status: ProjectStatus;
}

/** An update of the type `status`. It is not in the log. */
export interface StatusUpdate {
  timestamp: string;
  project_id: string;
  update_type: "status";
  data: StatusChanged;
}

/** Text in a prompt. */
export interface TextBlock {
  type: "text";
  text: string;
}

/** No `project_changed` comes behind the result; asking again changes nothing. */
export interface Unwatch {
}

/** No `project_changed` comes behind the result; asking again changes nothing. */
export interface UnwatchRequest {
  type: "unwatch";
  /** The reply repeats it. */
  id?: string | null;
  payload?: Unwatch | null;
}

/** Nothing more comes of projects that are not joined. */
export interface UnwatchResult {
}

/** The payload of an update. */
export type Update = PromptUpdate | ExecutionQueuedUpdate | ExecutionStartedUpdate | ClaudeUpdate | ClaudeDeltaUpdate | ClaudeTextUpdate | PermissionRequestUpdate | PermissionResolvedUpdate | SessionResetUpdate | ExecutionFinishedUpdate | GapUpdate | FilesChangedUpdate | StatusUpdate | ProjectChangedUpdate | ProjectDeletedUpdate;

/** An update of a project. */
export interface UpdateMessage {
  type: "update";
  payload: Update;
}

/** A CLI process that is kept between prompts; `memory_bytes`: resident, of itself alone. */
export interface WarmSession {
  project_id: string;
  pid: number;
  memory_bytes: number;
}

/** From the result on, `project_changed` comes for each project that the key may see. */
export interface Watch {
}

/** From the result on, `project_changed` comes for each project that the key may see. */
export interface WatchRequest {
  type: "watch";
  /** The reply repeats it. */
  id?: string | null;
  payload?: Watch | null;
}

/** The greeting: the first message of a connection. */
export interface Welcome {
  /** claudehub/VERSION */
  server: string;
  protocol: number;
  protocols: number[];
  client_id: string;
  heartbeat_seconds: number;
  max_message_bytes: number;
  max_update_bytes: number;
  auth?: AuthOffer | null;
}

/** The first message. */
export interface WelcomeMessage {
  type: "welcome";
  payload: Welcome;
}
