/* What this tab of the browser remembers: its jobs and the form's draft. */

const JOBS = "jobs";
const DRAFT = "draft";
const MOST = 30;

const read = (name, empty) => {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? empty;
  } catch {
    return empty;
  }
};
const write = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));

/** The jobs, newest first: {id, request}. */
export const rememberedJobs = () => read(JOBS, []);
export const rememberJobs = (jobs) =>
  write(JOBS, jobs.slice(0, MOST).map(({ id, request }) => ({ id, request })));

/** The request that stands in the form, or null. */
export const rememberedDraft = () => read(DRAFT, null);
export const rememberDraft = (request) => write(DRAFT, request);

/** What the address names: {job}, {recipe, number} or {picture, number}, by a job's id. */
export function readAddress() {
  const [, what, id, number = "0"] = /^#(job|recipe|picture)=([^/]+)(?:\/([^/]+))?$/
    .exec(location.hash) ?? [];
  return what ? { [what]: decodeURIComponent(id), number } : {};
}

/** Let the address name the job that is shown, so that a reload or a copy of it finds it. */
export function nameJob(id) {
  history.replaceState(null, "", id ? `#job=${encodeURIComponent(id)}` : location.pathname);
}
