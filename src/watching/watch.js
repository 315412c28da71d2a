// Asks every two seconds what is new, and draws what has changed. What archives say goes into the page as text alone.
'use strict';
const EVERY = 2000, HEIGHT = 320, SMALL = 250;
const COLOURS = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000'];
const CONFIG = {responsive: true, displaylogo: false, displayModeBar: false};
const at = name => document.getElementById(name);
const shown = {metric: null, run: null, runs: '', one: '', film: '', pictures: ''};

function plain(text) {  // plotly reads a little HTML
  return String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
function number(value) {
  return value === null || value === undefined ? '–' : Number(value.toPrecision(4)).toLocaleString('en');
}
function duration(seconds) {
  if (seconds === null) return '–';
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
function layout(title, more) {
  const axis = {showgrid: true, gridcolor: '#E5E5E5', zeroline: false, automargin: true};
  return {template: 'none', height: HEIGHT, colorway: COLOURS, uirevision: title,
    font: {family: 'system-ui, sans-serif', size: 13},
    title: {text: plain(title), font: {size: 14}, x: 0.5}, margin: {l: 60, r: 15, t: 40, b: 95}, hovermode: 'closest',
    paper_bgcolor: 'white', plot_bgcolor: 'white', legend: {orientation: 'h', yref: 'container', y: 0,
      yanchor: 'bottom', x: 0, xanchor: 'left', font: {size: 12}},
    xaxis: {...axis, title: {text: 'environment steps', standoff: 8}, nticks: 6}, yaxis: axis, ...more};
}
function places(parent, count) {  // as many plots as there is to draw; the first ones stay where they are
  while (parent.children.length > count) {
    Plotly.purge(parent.lastChild);
    parent.lastChild.remove();
  }
  while (parent.children.length < count) {
    const plot = document.createElement('div');
    plot.className = 'plot';
    parent.append(plot);
  }
  return [...parent.children];
}
function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) made.className = kind;
}

function drawPlots(told) {
  const plots = places(at('plots'), told.plots.length);
  told.plots.forEach((plot, place) => {
    const methods = new Set();
    const traces = plot.curves.map(curve => {
      const first = !methods.has(curve.method);
      methods.add(curve.method);
      return {x: curve.x, y: curve.y, mode: curve.x.length > 1 ? 'lines' : 'markers', customdata: [curve.id],
        name: plain(first ? curve.method : curve.name), legendgroup: curve.method, showlegend: first,
        line: {color: curve.colour, dash: curve.dash, width: curve.id === shown.run ? 3 : 1.2},
        marker: {color: curve.colour}, hovertemplate: `%{y:.4g} at %{x:,}<extra>${plain(curve.name)}</extra>`};
    });
    Plotly.react(plots[place], traces, layout(plot.task, {yaxis: {automargin: true, gridcolor: '#E5E5E5',
      zeroline: false, title: {text: plain(told.metric), standoff: 8}}}), CONFIG);
    if (!plots[place].listens) {
      plots[place].on('plotly_click', event => choose(event.points[0].data.customdata[0]));
      plots[place].listens = true;
    }
  });
}
function drawTable(told) {
  const body = at('runs').tBodies[0];
  body.replaceChildren();
  at('value').textContent = told.metric;
  for (const run of told.runs) {
    const row = body.insertRow();
    row.className = run.id === shown.run ? 'chosen' : '';
    row.title = run.folder;
    row.onclick = () => choose(run.id);
    cell(row, run.task);
    cell(row, run.method);
    cell(row, run.seed);
    cell(row, run.problem ? `${run.status}; ${run.problem}` : run.status,
      run.problem && run.problem !== 'no figures yet' ? 'long problem' : 'long');
    cell(row, number(run.t_env) + (run.t_max ? ` of ${number(run.t_max)}` : ''), 'number');
    cell(row, number(run.value), 'number');
    cell(row, number(run.speed), 'number');
    cell(row, duration(run.left), 'number');
  }
}
function drawMetrics(told) {
  const select = at('metric');
  if (document.activeElement !== select || select.options.length !== told.metrics.length) {
    select.replaceChildren(...told.metrics.map(name => new Option(name, name)));
  }
  select.value = told.metric;
}
function drawStanding(told) {
  const count = {};
  for (const run of told.runs) {
    const word = run.status.split(':')[0];
    count[word] = (count[word] || 0) + 1;
  }
  const words = Object.entries(count).map(([word, many]) => `${many} ${word}`).join(', ');
  const runs = told.runs.length === 1 ? '1 run' : `${told.runs.length} runs`;
  at('standing').classList.remove('gone');
  at('standing').textContent = told.runs.length
    ? `${runs}: ${words}.${told.complete ? '' : ' Still reading …'}`
    : told.complete ? 'No run here yet; this page follows.' : 'Reading …';
}

function drawOne(told, name) {
  at('one').hidden = false;
  at('one-name').textContent = name;
  const damaged = told.damaged.length ? `; damaged figures: ${told.damaged.join(', ')}` : '';
  at('one-facts').textContent = `${told.folder}; commit ${told.facts.commit}; machine ${told.facts.machine}${damaged}`;
  drawSettings(told);
  const time = told.time.map(line => ({x: line.x, y: line.y, name: plain(line.name), stackgroup: 'one',
    mode: 'lines', line: {width: 0.5}}));
  Plotly.react(at('time'), time, layout('shares of the time', {hovermode: 'x unified',
    yaxis: {range: [0, 1], gridcolor: '#E5E5E5'}}), CONFIG);
  const world = places(at('world'), told.world.length);
  at('world-part').hidden = !told.world.length && !told.pictures;
  told.world.forEach((plot, place) => {
    const lines = plot.curves.map(line => ({x: line.x, y: line.y, name: plain(line.name), mode: 'lines',
      line: {width: 1.5}}));
    const several = plot.curves.length > 1;
    Plotly.react(world[place], lines, layout(plot.title, {height: several ? SMALL + 60 : SMALL,
      margin: {l: 55, r: 10, t: 35, b: several ? 105 : 45}, showlegend: several}), CONFIG);
  });
  at('log').textContent = told.log.length ? told.log.join('\n') : 'nothing yet';
  drawFilm(told);
  drawPictures(told);
}
function drawSettings(told) {
  const body = at('settings').tBodies[0];
  body.replaceChildren();
  for (const setting of told.settings) {
    const row = body.insertRow();
    row.title = setting.meaning;
    cell(row, setting.name);
    cell(row, setting.value, 'long');
  }
}
function drawFilm(told) {
  const film = told.film ? `/film/${told.id}/${told.film.t}.mp4?${told.film.changed}` : '';
  at('film-part').hidden = !film;
  if (film === shown.film) return;
  shown.film = film;
  at('film-of').textContent = film ? `after ${number(told.film.t)} steps` : '';
  if (film) at('film').src = film;
  else at('film').removeAttribute('src');
}
function drawPictures(told) {
  const some = told.pictures ? told.pictures.names.map(name => `/picture/${told.id}/${told.pictures.t}/${name}`) : [];
  at('pictures-part').hidden = !some.length;
  at('pictures-of').textContent = some.length ? `after ${number(told.pictures.t)} steps` : '';
  if (some.join() === shown.pictures) return;
  shown.pictures = some.join();
  at('pictures').replaceChildren(...some.map(address => {
    const image = new Image();
    image.src = address;
    image.alt = address.split('/').pop();
    image.loading = 'lazy';
    return image;
  }));
}

async function asked(address) {
  const answer = await fetch(address, {cache: 'no-cache'});
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.text();
}
async function look() {
  const text = await asked('/api/runs' + (shown.metric ? `?metric=${encodeURIComponent(shown.metric)}` : ''));
  const told = JSON.parse(text);
  if (text + shown.run !== shown.runs) {
    shown.runs = text + shown.run;
    drawStanding(told);
    drawMetrics(told);
    drawTable(told);
    drawPlots(told);
  }
  const mine = told.runs.find(run => run.id === shown.run);
  if (!mine) {
    at('one').hidden = true;
    return;
  }
  const one = await asked(`/api/runs/${encodeURIComponent(mine.id)}`);
  if (one && one !== shown.one && mine.id === shown.run) {
    shown.one = one;
    drawOne(JSON.parse(one), `${mine.task}: ${mine.name}`);
  }
}
let timer = null, looking = false;
async function follow() {
  if (looking) return;
  clearTimeout(timer);
  looking = true;
  try {
    if (!document.hidden) await look();
  } catch (why) {
    at('standing').classList.add('gone');
    at('standing').textContent = `No answer: mmsa watch has ended, it seems (${why.message}).`;
    shown.runs = '';
  }
  looking = false;
  timer = setTimeout(follow, EVERY);
}
function choose(id) {
  shown.run = id;
  remember();
  follow().then(() => at('one').hidden || at('one').scrollIntoView({behavior: 'smooth'}));
}
function remember() {
  const parts = new URLSearchParams();
  if (shown.metric) parts.set('metric', shown.metric);
  if (shown.run) parts.set('run', shown.run);
  history.replaceState(null, '', `#${parts}`);
}
const before = new URLSearchParams(location.hash.slice(1));
shown.metric = before.get('metric');
shown.run = before.get('run');
at('metric').onchange = () => {
  shown.metric = at('metric').value;
  remember();
  at('metric').blur();
  follow();
};
document.addEventListener('visibilitychange', follow);
follow();
