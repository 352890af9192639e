/* What this tab keeps in its session storage: its jobs and the form's draft. */

const JOBS = "jobs";
const DRAFT = "draft";
const MAX_JOBS = 30;

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
  write(JOBS, jobs.slice(0, MAX_JOBS).map(({ id, request }) => ({ id, request })));

/** The request in the form, or null. */
export const rememberedDraft = () => read(DRAFT, null);
export const rememberDraft = (request) => write(DRAFT, request);

/** The job in the address: {job}, {recipe, number} or {picture, number}. */
export function readAddress() {
  const [, what, id, number = "0"] = /^#(job|recipe|picture)=([^/]+)(?:\/([^/]+))?$/
    .exec(location.hash) ?? [];
  return what ? { [what]: decodeURIComponent(id), number } : {};
}

/** Put the shown job into the address, so that a reload or a copied link shows it. */
export function setAddressJob(id) {
  history.replaceState(null, "", id ? `#job=${encodeURIComponent(id)}` : location.pathname);
}
